#include "bulk/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>
#include <utility>
#include <vector>

#include "bulk/job_test.h"

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

}  // namespace
}  // namespace sluice::bulk
