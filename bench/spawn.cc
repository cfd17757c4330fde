// Times whole processes in turns: spawn PAIRS OURS… -- THEIRS…
//
// Starts both command lines PAIRS times by posix_spawn, one after the other, with stdin and stdout
// on /dev/null, and prints in JSON the median of each in microseconds and the median of the pairs'
// ratios. Pairs share what the machine does meanwhile, so their ratio is steadier than the ratio of
// two medians. Fails if a process does not exit with 0.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

extern char** environ;

namespace {

double microseconds(char** words) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  int status = 0;
  const auto began = std::chrono::steady_clock::now();
  const int error = posix_spawnp(&child, words[0], &actions, nullptr, words, environ);
  if (error == 0) waitpid(child, &status, 0);
  const auto ended = std::chrono::steady_clock::now();
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    std::fprintf(stderr, "spawn: %s failed\n", words[0]);
    std::exit(1);
  }
  return std::chrono::duration<double, std::micro>(ended - began).count();
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const int pairs = argc > 1 ? std::atoi(argv[1]) : 0;
  char** between = std::find_if(argv + std::min(argc, 2), argv + argc,
                                [](const char* word) { return std::string_view(word) == "--"; });
  if (pairs < 1 || between <= argv + 2 || between + 1 >= argv + argc) {
    std::fputs("usage: spawn PAIRS OURS… -- THEIRS…\n", stderr);
    return 2;
  }
  *between = nullptr;
  std::vector<double> ours;
  std::vector<double> theirs;
  std::vector<double> ratios;
  for (int i = 0; i < pairs; ++i) {
    ours.push_back(microseconds(argv + 2));
    theirs.push_back(microseconds(between + 1));
    ratios.push_back(ours.back() / theirs.back());
  }
  std::printf("{\"ours_us\":%.1f,\"theirs_us\":%.1f,\"ratio\":%.3f}\n", median(ours),
              median(theirs), median(ratios));
  return 0;
}
