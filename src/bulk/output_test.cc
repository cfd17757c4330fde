#include "bulk/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>
#include <utility>
#include <vector>

#include "bulk/job_test.h"
#include "bulk/source.h"

namespace sluice::bulk {
namespace {

using store::Fault;
using store::FaultyCall;
using store::Operation;

// More than a pipe takes while nobody reads.
constexpr std::size_t kMuch = std::size_t{1} << 20;

class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  }
  ~Pipe() {
    close_reader();
    close_writer();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  [[nodiscard]] int reader() const { return ends_[0]; }
  [[nodiscard]] int writer() const { return ends_[1]; }
  void close_reader() { close(ends_[0]); }
  void close_writer() { close(ends_[1]); }

 private:
  static void close(int& end) {
    if (end >= 0) ::close(std::exchange(end, -1));
  }
  int ends_[2];
};

std::string read_all(int descriptor) {
  std::string all;
  char buffer[10'000];
  for (;;) {
    const ssize_t size = ::read(descriptor, buffer, sizeof buffer);
    if (size <= 0) return all;
    all.append(buffer, static_cast<std::size_t>(size));
  }
}

std::string numbers(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i) text += fmt::format("{}\n", i);
  return text;
}

class OutputTest : public JobFixture {
 public:
  OutputTest() { std::signal(SIGPIPE, SIG_IGN); }

  Result<> write(Output& output, std::string text) {
    const auto body = [&]() -> io::Task<Result<>> {
      if (auto written = co_await output.write(std::move(text)); !written) co_return written;
      co_return co_await output.flush();
    };
    return loop.run(body());
  }
  // As write; a stop is requested once the writing has begun.
  Result<> write_and_stop(Output& output, std::string text, Error reason) {
    const auto body = [&]() -> io::Task<Result<>> {
      if (auto written = co_await output.write(std::move(text)); !written) co_return written;
      stop->request(std::move(reason));
      co_return co_await output.flush();
    };
    return loop.run(body());
  }
  [[nodiscard]] std::string fifo() const {
    std::string path = folder + "/pipe";
    EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    return path;
  }
  static Error deadline() {
    return {ErrorCode::deadline, Retry::never, std::nullopt, "time is up"};
  }
};

TEST_F(OutputTest, APipeGetsEverything) {
  const std::string text = numbers(kMuch);
  for (io::Stop* const with : {static_cast<io::Stop*>(nullptr), stop.get()}) {
    Pipe pipe;
    std::string read;
    std::jthread reader([&] { read = read_all(pipe.reader()); });
    const auto output = Output::to_descriptor(pipe.writer(), with);
    EXPECT_TRUE(write(*output, text));
    EXPECT_TRUE(write(*output, "and more"));
    pipe.close_writer();
    reader.join();
    EXPECT_EQ(read, text + "and more");
  }
}

TEST_F(OutputTest, AStoppedRunStillGivesAReaderAll) {
  Pipe pipe;
  const std::string text = numbers(kMuch);
  std::string read;
  std::jthread reader([&] { read = read_all(pipe.reader()); });
  const auto output = Output::to_descriptor(pipe.writer(), stop.get());
  EXPECT_TRUE(write_and_stop(*output, text, deadline()));
  EXPECT_TRUE(write(*output, "and more")) << "with a stop that was requested before";
  pipe.close_writer();
  reader.join();
  EXPECT_EQ(read, text + "and more");
}

// Without the stop this would wait for ever.
TEST_F(OutputTest, AStopEndsTheWaitForAStalledReader) {
  Pipe pipe;
  const std::string text = numbers(kMuch);
  const auto output = Output::to_descriptor(pipe.writer(), stop.get());
  const Result<> written = write_and_stop(*output, text, deadline());
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::deadline);
  EXPECT_EQ(::fcntl(pipe.writer(), F_GETFL) & O_NONBLOCK, 0) << "others may share it";

  const Result<> again = write(*output, "more");
  ASSERT_FALSE(again) << "what follows a gap must not be written";
  EXPECT_EQ(again.error().message, written.error().message);

  pipe.close_writer();
  const std::string read = read_all(pipe.reader());
  EXPECT_EQ(read, text.substr(0, read.size()));
  EXPECT_EQ(
      written.error().message,
      fmt::format("time is up; {} bytes of the output are lost, because its reader has stalled",
                  text.size() - read.size()));
}

TEST_F(OutputTest, AReaderThatGoesAwayIsTold) {
  Pipe pipe;
  pipe.close_reader();
  const auto output = Output::to_descriptor(pipe.writer(), stop.get());
  const Result<> written = write(*output, "text");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message, kReaderLeft);
}

TEST_F(OutputTest, ANamedPipeThatNobodyReads) {
  const std::string path = fifo();
  const auto output = Output::to_file(path, "mark", 0, stop.get());
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code, ErrorCode::io);
  EXPECT_NE(output.error().message.find("nobody reads the pipe " + path), std::string::npos)
      << output.error().message;
}

TEST_F(OutputTest, ANamedPipeIsWrittenToDirectly) {
  const std::string path = fifo();
  const std::string text = numbers(kMuch);
  const int end = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(end, 0);
  auto output = Output::to_file(path, "mark", 0, stop.get());
  ASSERT_TRUE(output);
  ::fcntl(end, F_SETFL, 0);
  std::string read;
  std::jthread reader([&] { read = read_all(end); });
  EXPECT_TRUE(write(**output, text));
  EXPECT_TRUE(loop.run((*output)->complete()));
  output->reset();
  reader.join();
  ::close(end);
  EXPECT_EQ(read, text);
}

TEST_F(OutputTest, AFileAppearsWhenItIsComplete) {
  const std::string path = folder + "/file";
  const std::string text = numbers(kMuch);
  auto output = Output::to_file(path, "mark", 0, stop.get());
  ASSERT_TRUE(output);
  // A stop does not keep what has been received from a file.
  EXPECT_TRUE(write_and_stop(**output, text, deadline()));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(loop.run((*output)->complete()));
  EXPECT_EQ(read_file(path), text);
}

// The source of a job: keys from a file, and a listing that is begun again.

class SourceTest : public JobFixture {
 public:
  // What the source gives until it ends or fails, with the position behind each page.
  struct Given {
    std::vector<std::string> keys;
    std::vector<Position> positions;
    std::optional<Error> error;
  };
  // Reads at most `pages` pages. `meanwhile` runs once the first page has been asked for.
  Given read(const Selection& selection, const Position& start = {}, std::size_t pages = 1000,
             std::function<void()> meanwhile = {}) {
    Given given;
    const auto body = [&]() -> io::Task<> {
      auto source = open_source(
          loop.executor(), *stop, *faulty_store,
          {.selection = selection, .values = false, .start = start, .selected_before = 0});
      if (!source) {
        given.error = source.error();
        co_return;
      }
      while (given.positions.size() < pages) {
        io::Started<Result<SourcePage>> next(loop.executor(), (*source)->next());
        co_await io::yield();
        if (meanwhile) std::exchange(meanwhile, {})();
        auto page = co_await next.get();
        if (!page) {
          given.error = page.error();
          break;
        }
        for (const store::EntryView& entry : page->entries) given.keys.emplace_back(entry.key);
        given.positions.push_back(page->after);
        if (page->after.end) break;
      }
      co_await (*source)->close();
    };
    loop.run(body());
    return given;
  }
  [[nodiscard]] Selection old_ones_of(std::string keys_file) const {
    Selection selection;
    selection.tag_field = "tags";
    selection.tag_value = "old";
    selection.keys_file = std::move(keys_file);
    return selection;
  }
};

TEST_F(SourceTest, KeysFileNarrowsAListingDown) {
  fill(100);
  faulty();
  const std::string path = folder + "/keys";
  std::ofstream(path) << "key:0099\nkey:0003\nkey:0004\nnone\nkey:0033\n";
  const Given given = read(old_ones_of(path));
  EXPECT_FALSE(given.error);
  EXPECT_EQ(given.keys, (std::vector<std::string>{"key:0003", "key:0033", "key:0099"}));
  EXPECT_EQ(faulty_store->calls(Operation::list), 5u);

  // From the third page on: the file is read from its beginning nevertheless.
  const Given rest = read(old_ones_of(path), given.positions[1]);
  EXPECT_EQ(rest.keys, (std::vector<std::string>{"key:0099"}));
  EXPECT_TRUE(read(old_ones_of(path), given.positions.back()).keys.empty());
}

TEST_F(SourceTest, KeysFileThatCannotBeReadSendsNothing) {
  fill(100);
  faulty();
  const std::string path = folder + "/keys";
  EXPECT_EQ(read(old_ones_of(path)).error.value().code, ErrorCode::not_found);
  // A gzip stream that is cut: found out when it is read, not when it is opened.
  std::ofstream(path, std::ios::binary) << "\x1f\x8b\x08 cut";
  const Given cut = read(old_ones_of(path));
  EXPECT_EQ(cut.error.value().code, ErrorCode::invalid_argument);
  EXPECT_NE(cut.error->message.find(path), std::string::npos) << cut.error->message;
  EXPECT_EQ(faulty_store->calls(Operation::list), 0u);
}

// Were the file read on the loop's thread, this would wait for ever.
TEST_F(SourceTest, AStopEndsTheWaitForAKeysFile) {
  fill(100);
  faulty();
  const std::string path = folder + "/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const Given given = read(old_ones_of(path), {}, 1000, [&] {
    stop->request({ErrorCode::deadline, Retry::never, std::nullopt, "time is up"});
  });
  ASSERT_TRUE(given.error);
  EXPECT_EQ(given.error->code, ErrorCode::deadline);
  EXPECT_EQ(given.error->message, "time is up");
  // One that was requested before.
  Selection keys_only;
  keys_only.keys_file = path;
  EXPECT_EQ(read(keys_only).error.value().code, ErrorCode::deadline);
  EXPECT_EQ(faulty_store->calls(Operation::list), 0u);
}

TEST_F(SourceTest, ARefusedCursorTwiceGivesNoKeyAgain) {
  fill(100);
  Selection all;
  faulty();
  const Given first = read(all, {}, 3);
  ASSERT_EQ(first.keys.size(), 60u);
  EXPECT_EQ(first.positions.back().last_key, "key:0059");

  // Each process asks first with the cursor of the one before.
  const auto refuse_first = [](const FaultyCall& call) {
    Fault fault;
    if (call.number == 1) fault.fails = error(ErrorCode::invalid_argument, Retry::never);
    return fault;
  };
  faulty(refuse_first);
  // Ends among the pages that are passed over.
  const Given second = read(all, first.positions.back(), 2);
  EXPECT_TRUE(second.keys.empty());
  EXPECT_EQ(second.positions.back().last_key, "key:0059") << "not the last key of the page";

  faulty(refuse_first);
  const Given third = read(all, second.positions.back());
  EXPECT_FALSE(third.error);
  EXPECT_EQ(third.keys.size(), 40u);
  EXPECT_EQ(third.keys.front(), "key:0060");
}

}  // namespace
}  // namespace sluice::bulk
