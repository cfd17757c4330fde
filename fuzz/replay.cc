// Runs a fuzz target over the files of its corpus, without libFuzzer: as an ordinary test.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) try {
  std::size_t inputs = 0;
  for (int i = 1; i < argc; ++i) {
    std::vector<std::filesystem::path> paths;
    for (const auto& file : std::filesystem::directory_iterator(argv[i]))
      paths.push_back(file.path());
    std::sort(paths.begin(), paths.end());
    for (const auto& path : paths) {
      std::ifstream file(path, std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file),
                              std::istreambuf_iterator<char>()};
      if (!file) {
        std::fprintf(stderr, "cannot read %s\n", path.c_str());
        return 1;
      }
      std::fprintf(stderr, "%s\n", path.c_str());
      // In a block of its own size, so that a sanitizer sees every step beyond it.
      std::vector<std::uint8_t> copy(bytes.begin(), bytes.end());
      copy.shrink_to_fit();
      LLVMFuzzerTestOneInput(copy.data(), copy.size());
      // And every beginning of it, since that is what a cut connection or file leaves.
      for (std::size_t size = 0; size < std::min<std::size_t>(copy.size(), 512); ++size) {
        const std::vector<std::uint8_t> beginning(copy.begin(),
                                                  copy.begin() + static_cast<std::ptrdiff_t>(size));
        LLVMFuzzerTestOneInput(beginning.data(), beginning.size());
      }
      ++inputs;
    }
  }
  // A test without inputs would hold for any parser.
  return inputs == 0 ? 1 : 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
