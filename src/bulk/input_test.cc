#include "bulk/input.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "bulk/entry_file.h"

namespace sluice::bulk {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using namespace std::string_literals;

class Folder {
 public:
  Folder() {
    std::string pattern = std::filesystem::temp_directory_path() / "sluice-input-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string write(const std::string& name, std::string_view bytes) const {
    const std::string path = path_ / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::string gzip(std::string_view text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view text, int window_log = 0) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  if (window_log != 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  }
  std::string out(ZSTD_compressBound(text.size()) + 64, '\0');
  ZSTD_inBuffer in{text.data(), text.size(), 0};
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  if (window_log != 0) {
    // In two steps, so that the size is not known when the header is written.
    in.size = text.size() / 2;
    EXPECT_FALSE(ZSTD_isError(ZSTD_compressStream2(context, &to, &in, ZSTD_e_flush)));
    in.size = text.size();
  }
  EXPECT_EQ(ZSTD_compressStream2(context, &to, &in, ZSTD_e_end), 0U);
  out.resize(to.pos);
  ZSTD_freeCCtx(context);
  return out;
}

// All that can be read, then the error, if there is one.
std::string contents(Input& input, std::size_t piece = 1000) {
  std::string out;
  std::vector<char> buffer(piece);
  for (;;) {
    const Result<std::size_t> size = input.read(buffer);
    if (!size) return out + "!! " + size.error().message;
    if (*size == 0) return out;
    out.append(buffer.data(), *size);
  }
}

std::string contents(const std::string& path, std::size_t piece = 1000) {
  Result<std::unique_ptr<Input>> input = Input::open(path);
  if (!input) return "!! " + input.error().message;
  return contents(**input, piece);
}

std::string some_text() {
  std::string text;
  for (int i = 0; i != 20'000; ++i) text += fmt::format("line {} {:x}\n", i, i * 2654435761U);
  return text;
}

TEST(Input, PlainFile) {
  const Folder folder;
  for (const std::string& text : {""s, "a"s, "abcdef"s, "\x1f"s, "\x28\xb5\x2f"s, some_text()}) {
    EXPECT_EQ(contents(folder.write("plain", text)), text);
    EXPECT_EQ(contents(folder.write("plain", text), 3), text);
  }
}

TEST(Input, WhatCannotBeOpened) {
  const Folder folder;
  EXPECT_THAT(contents(folder.path() / "nothing"), HasSubstr("nothing"));
  EXPECT_EQ(Input::open(folder.path() / "nothing").error().code, ErrorCode::not_found);
  EXPECT_THAT(contents(folder.path()), HasSubstr("is a folder"));
}

TEST(Input, Compressed) {
  const Folder folder;
  const std::string text = some_text();
  for (const std::size_t piece : {1000U, 1U << 20}) {
    EXPECT_EQ(contents(folder.write("a", gzip(text)), piece), text);
    EXPECT_EQ(contents(folder.write("a", gzip("one") + gzip("") + gzip("two")), piece), "onetwo");
    EXPECT_EQ(contents(folder.write("a", zstd(text)), piece), text);
    EXPECT_EQ(contents(folder.write("a", zstd("one") + zstd("") + zstd("two")), piece), "onetwo");
  }
  EXPECT_EQ(contents(folder.write("a", gzip(""))), "");
  EXPECT_EQ(contents(folder.write("a", zstd(""))), "");
  // A skippable frame of four bytes.
  const std::string skippable("\x50\x2a\x4d\x18\x04\0\0\0skip", 12);
  EXPECT_EQ(contents(folder.write("a", skippable + zstd("text"))), "text");
  EXPECT_EQ(contents(folder.write("a", zstd("text") + skippable)), "text");
}

TEST(Input, TruncatedAtEveryPlace) {
  const Folder folder;
  const std::string text = "some text that is not very long, but long enough";
  for (const std::string& stream : {gzip(text), zstd(text)}) {
    const std::size_t magic = stream[0] == '\x1f' ? 2 : 4;
    for (std::size_t size = magic; size < stream.size(); ++size) {
      EXPECT_THAT(contents(folder.write("a", stream.substr(0, size))),
                  AllOf(HasSubstr("a: "), HasSubstr("is truncated")))
          << size << " of " << stream.size();
    }
    // In the second member or frame.
    for (std::size_t size = 1; size < stream.size(); ++size) {
      const std::string read = contents(folder.write("a", stream + stream.substr(0, size)));
      EXPECT_THAT(read, AllOf(HasSubstr(text), HasSubstr("is truncated"))) << size;
    }
  }
}

TEST(Input, DamagedOrFollowedBySomething) {
  const Folder folder;
  const std::string text = some_text();
  EXPECT_THAT(contents(folder.write("a", gzip("text") + "more")),
              AllOf(HasSubstr("text!!"), HasSubstr("not gzip follows")));
  EXPECT_THAT(contents(folder.write("a", gzip("text") + "\0\0\0\0"s)),
              HasSubstr("not gzip follows"));
  EXPECT_THAT(contents(folder.write("a", gzip("text") + "\x1fmore"s)), HasSubstr("is damaged"));
  EXPECT_THAT(contents(folder.write("a", zstd("text") + "more")),
              AllOf(HasSubstr("text!!"), HasSubstr("not zstd follows")));
  for (std::string stream : {gzip(text), zstd(text)}) {
    stream[stream.size() / 2] = static_cast<char>(stream[stream.size() / 2] ^ 0x55);
    EXPECT_THAT(contents(folder.write("a", stream)), HasSubstr("is damaged"));
    stream = stream.substr(0, 30) + std::string(200'000, '\xff');
    EXPECT_THAT(contents(folder.write("a", stream)), HasSubstr("is damaged"));
  }
  // The checksum at the end.
  for (std::string stream : {gzip(text), zstd(text)}) {
    stream[stream.size() - 5 + (stream[0] == '\x1f' ? 0 : 1)] ^= 1;
    EXPECT_THAT(contents(folder.write("a", stream)), HasSubstr("is damaged"));
  }
}

TEST(Input, ZstdWindowIsBounded) {
  const Folder folder;
  EXPECT_EQ(contents(folder.write("a", zstd("small window", 27))), "small window");
  EXPECT_THAT(contents(folder.write("a", zstd("huge window", 28))), HasSubstr("more than 128 MB"));
}

TEST(Input, OtherCompressions) {
  const Folder folder;
  EXPECT_THAT(contents(folder.write("a", "\xfd"s + "7zXZ\0...."s)), HasSubstr("xz -dc"));
  EXPECT_THAT(contents(folder.write("a", "BZh91AY")), HasSubstr("bzip2"));
  EXPECT_THAT(contents(folder.write("a", "PK\x03\x04....")), HasSubstr("zip"));
}

TEST(Input, SkipsForward) {
  const Folder folder;
  const std::string text = some_text();
  for (const std::string& bytes : {text, gzip(text), zstd(text)}) {
    const std::string path = folder.write("a", bytes);
    for (const std::size_t offset :
         {std::size_t{0}, std::size_t{1}, std::size_t{200'000}, text.size()}) {
      auto input = Input::open(path);
      ASSERT_TRUE((*input)->skip_to(offset));
      EXPECT_EQ((*input)->offset(), offset);
      EXPECT_EQ(contents(**input), text.substr(offset));
      EXPECT_EQ((*input)->offset(), text.size());
    }
    auto input = Input::open(path);
    const Result<> beyond = (*input)->skip_to(text.size() + 1);
    ASSERT_FALSE(beyond);
    EXPECT_THAT(beyond.error().message, HasSubstr("not the file that was read before"));
  }
}

TEST(Input, PipeInPiecesAndInterrupted) {
  const Folder folder;
  const std::string path = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int keeper =
      ::open(path.c_str(), O_RDWR | O_CLOEXEC);  // so that no open waits for its peer
  auto input = Input::open(path);
  ASSERT_TRUE(input);
  const std::string packed = gzip("through a pipe");
  std::jthread writer([&] {
    for (const char c : packed) EXPECT_EQ(::write(keeper, &c, 1), 1);
  });
  std::string text;
  char buffer[64];
  while (text.size() < 14) {
    const Result<std::size_t> size = (*input)->read(buffer);
    ASSERT_TRUE(size);
    text.append(buffer, *size);
  }
  EXPECT_EQ(text, "through a pipe");
  writer.join();
  // The pipe is still open: without the interruption this would wait for ever.
  std::jthread interrupter([&] { (*input)->interrupt(); });
  const Result<std::size_t> size = (*input)->read(buffer);
  ASSERT_FALSE(size);
  EXPECT_EQ(size.error().code, ErrorCode::interrupted);
  EXPECT_FALSE((*input)->read(buffer));
  ::close(keeper);
}

// Each of these would wait for ever if the open, or the read, could not be interrupted; or end at
// once if no writer counted as an end.
TEST(Input, NamedPipeWithoutAWriter) {
  const Folder folder;
  const std::string path = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto input = Input::open(path);
  ASSERT_TRUE(input);
  std::jthread interrupter([&] { (*input)->interrupt(); });
  char buffer[64];
  const Result<std::size_t> size = (*input)->read(buffer);
  ASSERT_FALSE(size);
  EXPECT_EQ(size.error().code, ErrorCode::interrupted);
}

TEST(Input, NamedPipeWhoseWriterComesLater) {
  const Folder folder;
  const std::string path = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  for (const std::string& text : {"in time"s, ""s, some_text()}) {
    const auto input = Input::open(path);
    ASSERT_TRUE(input);
    std::jthread writer([&] {
      // Long enough for the read to have begun; if it has not, the test only shows less.
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      std::ofstream(path, std::ios::binary) << text;
    });
    EXPECT_EQ(contents(**input), text);
  }
}

// EntryFile.

std::vector<std::string> entries_of(const std::string& path, const EntryFile::Options& options,
                                    std::uint64_t* end = nullptr) {
  std::vector<std::string> out;
  Result<EntryFile> file = EntryFile::open(path, options);
  if (!file) return {"!! " + file.error().message};
  Records records;
  for (;;) {
    const Result<bool> more = file->read(records);
    for (const store::EntryView& entry : records.entries) out.emplace_back(entry.key);
    for (const BadRecord& bad : records.bad) out.push_back("! " + describe(bad));
    if (end != nullptr) *end = records.end;
    records.clear();
    if (!more) out.push_back("!! " + more.error().message);
    if (!more || !*more) return out;
  }
}

TEST(EntryFile, DetectsFormatAndCompression) {
  const Folder folder;
  const std::vector<std::string> expected = {"a", "b"};
  for (const std::string& text :
       {"{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"2\"}\n"s,
        "\n [{\"key\":\"a\",\"value\":\"1\"},{\"key\":\"b\",\"value\":\"2\"}]"s,
        "key,value\na,1\nb,2\n"s}) {
    EXPECT_EQ(entries_of(folder.write("x", text), {}), expected);
    EXPECT_EQ(entries_of(folder.write("x", gzip(text)), {}), expected);
    EXPECT_EQ(entries_of(folder.write("x", zstd(text)), {}), expected);
  }
  EXPECT_EQ(entries_of(folder.write("x", "a\nb"), {.format = Format::keys}), expected);
  EXPECT_EQ(entries_of(folder.write("x", "a\0b\0"s), {.format = Format::keys, .nul = true}),
            expected);
  EXPECT_TRUE(entries_of(folder.write("x", ""), {}).empty());
  EXPECT_TRUE(entries_of(folder.write("x", " \n\n"), {}).empty());
}

TEST(EntryFile, MessagesNameTheFile) {
  const Folder folder;
  EXPECT_THAT(
      entries_of(folder.write("broken.json", "[{\"key\":\"a\",\"value\":\"1\"}"), {}),
      ::testing::ElementsAre("a", AllOf(HasSubstr("broken.json: byte "), HasSubstr("truncated"))));
  const std::string cut = gzip(some_text());
  EXPECT_THAT(
      entries_of(folder.write("cut.gz", cut.substr(0, 100)), {.format = Format::keys}).back(),
      AllOf(HasSubstr("cut.gz: "), HasSubstr("truncated")));
}

TEST(EntryFile, GoesOnBehindAnyEntry) {
  const Folder folder;
  std::string ndjson;
  std::string array = "[";
  std::string csv = "key,value\n";
  std::string keys;
  constexpr int kEntries = 6000;  // several pieces of 64 KB
  for (int i = 0; i != kEntries; ++i) {
    ndjson += fmt::format("{{\"key\":\"{}\",\"value\":\"some value\"}}\n", i);
    array += fmt::format("{}\n{{\"key\":\"{}\",\"value\":\"some value\"}}", i == 0 ? "" : ",", i);
    csv += fmt::format("{},\"a long value\nthat has two lines\"\n", i);
    keys += fmt::format("{:020}\n", i);
  }
  array += "]";
  // The last record is bad: its line shows whether lines were counted over what was passed.
  ndjson += "{}\n";
  csv += "x\n";
  for (const std::string& text : {ndjson, array, csv, keys}) {
    EntryFile::Options options;
    if (text == keys) options.format = Format::keys;
    for (const std::string& bytes : {text, zstd(text)}) {
      const std::string path = folder.write("x", bytes);
      auto file = EntryFile::open(path, options);
      Records records;
      while (*file->read(records)) {
      }
      ASSERT_EQ(records.entries.size(), static_cast<std::size_t>(kEntries));
      ASSERT_EQ(records.bad.size(), text == ndjson || text == csv ? 1U : 0U);
      for (const std::size_t done : {1UL, 2UL, 1500UL, 3000UL, 5999UL, 6000UL}) {
        EntryFile::Options rest = options;
        rest.from = records.ends[done - 1];
        auto again = EntryFile::open(path, rest);
        Records more;
        for (;;) {
          const Result<bool> read = again->read(more);
          ASSERT_TRUE(read) << read.error().message;
          if (!*read) break;
        }
        ASSERT_EQ(more.entries.size(), kEntries - done);
        if (done != kEntries) EXPECT_EQ(more.entries[0].key, records.entries[done].key);
        ASSERT_EQ(more.bad.size(), records.bad.size());
        if (!more.bad.empty()) EXPECT_EQ(describe(more.bad[0]), describe(records.bad[0]));
        EXPECT_EQ(more.end, records.end);
      }
      EntryFile::Options beyond = options;
      beyond.from = text.size() + 1;
      EXPECT_THAT(entries_of(path, beyond).back(), HasSubstr("not the file that was read before"));
    }
  }
}

}  // namespace
}  // namespace sluice::bulk
