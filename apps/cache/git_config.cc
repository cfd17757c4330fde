#include "git_config.h"

#include <fnmatch.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <vector>

#include "base/ascii.h"
#include "git_repository.h"

namespace sluice::cache_cli {

namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}
bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Reads the text from the front on.
class Parser {
 public:
  Parser(std::string_view text, const std::function<void(const GitSetting&)>& each)
      : rest_(text), each_(each) {
    if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
  }

  bool parse() {
    for (;;) {
      while (!rest_.empty() && (is_space(rest_[0]) || rest_[0] == '\n')) rest_.remove_prefix(1);
      if (rest_.empty()) return true;
      if (rest_[0] == '#' || rest_[0] == ';') {
        skip_line();
      } else if (rest_[0] == '[') {
        if (!section()) return false;
      } else if (!variable()) {
        return false;
      }
    }
  }

 private:
  char peek() const { return rest_.empty() ? '\n' : rest_[0]; }
  char take() {
    const char c = peek();
    if (!rest_.empty()) rest_.remove_prefix(1);
    return c;
  }
  void skip_line() {
    const std::size_t end = rest_.find('\n');
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
  }
  void skip_spaces() {
    while (!rest_.empty() && is_space(rest_[0])) rest_.remove_prefix(1);
  }

  // [name], [name "sub section"], [name.subsection]
  bool section() {
    take();
    setting_ = {};
    while (is_alnum(peek()) || peek() == '-' || peek() == '.')
      setting_.section += ascii_lower(take());
    if (setting_.section.empty()) return false;
    if (const std::size_t dot = setting_.section.find('.'); dot != std::string::npos) {
      setting_.subsection = setting_.section.substr(dot + 1);
      setting_.section.resize(dot);
    }
    skip_spaces();
    if (peek() == '"') {
      take();
      for (;;) {
        char c = take();
        if (c == '\n') return false;
        if (c == '"') break;
        if (c == '\\') c = take();
        if (c == '\n') return false;
        setting_.subsection += c;
      }
    }
    return take() == ']';
  }

  // name = value, or just the name
  bool variable() {
    if (setting_.section.empty()) return false;
    setting_.variable.clear();
    while (is_alnum(peek()) || peek() == '-') setting_.variable += ascii_lower(take());
    if (setting_.variable.empty()) return false;
    skip_spaces();
    setting_.value = "true";
    if (peek() == '=') {
      take();
      if (!value()) return false;
    } else if (peek() == '#' || peek() == ';') {
      skip_line();
    } else if (peek() != '\n') {
      return false;
    }
    each_(setting_);
    return true;
  }

  // To the end of the line, or beyond it where a backslash ends the line. White space at both ends
  // goes, unless it is quoted.
  bool value() {
    skip_spaces();
    std::string& out = setting_.value;
    out.clear();
    std::size_t kept = 0;  // what may not be trimmed
    bool quoted = false;
    for (;;) {
      const char c = take();
      if (c == '\n') {
        out.resize(kept);
        return !quoted;
      }
      if (c == '"') {
        quoted = !quoted;
        kept = out.size();
      } else if (c == '\\') {
        const bool ended = rest_.empty();
        const char escaped = take();
        if (ended) return false;
        if (escaped == '\r' && peek() == '\n') take();
        if (escaped == '\n' || escaped == '\r') continue;
        constexpr std::string_view names = "nt\"\\b";
        constexpr std::string_view meant = "\n\t\"\\\b";
        const std::size_t at = names.find(escaped);
        if (at == std::string_view::npos) return false;
        out += meant[at];
        kept = out.size();
      } else if (!quoted && (c == '#' || c == ';')) {
        skip_line();
        out.resize(kept);
        return true;
      } else {
        out += c;
        if (quoted || !is_space(c)) kept = out.size();
      }
    }
  }

  std::string_view rest_;
  const std::function<void(const GitSetting&)>& each_;
  GitSetting setting_;
};

class EmailSearch {
 public:
  EmailSearch(const std::string& folder, const Getenv& environment)
      : environment_(environment), home_(environment("HOME").value_or("")) {
    auto repository = find_git_repository(folder, environment);
    // Before the repository may be believed, the others say whether it may be.
    if (repository && !is_ours(*repository, environment)) {
      read_above();
      if (!says_safe(*repository)) repository.reset();
    }
    repository_ = std::move(repository);
  }

  std::optional<std::string> run() {
    email_.reset();
    read_above();
    if (repository_) {
      read(repository_->common_dir + "/config", 0);
      if (worktree_config_) read(repository_->git_dir + "/config.worktree", 0);
    }
    read_environment();
    return email_;
  }

 private:
  // The files of the system and of the user.
  void read_above() {
    if (environment_("GIT_CONFIG_NOSYSTEM").value_or("").empty()) {
      read(environment_("GIT_CONFIG_SYSTEM").value_or("/etc/gitconfig"), 0);
    }
    if (const auto global = environment_("GIT_CONFIG_GLOBAL")) {
      if (!global->empty()) read(*global, 0);
    } else {
      const std::string config_home = environment_("XDG_CONFIG_HOME").value_or("");
      if (!config_home.empty()) {
        read(config_home + "/git/config", 0);
      } else if (!home_.empty()) {
        read(home_ + "/.config/git/config", 0);
      }
      if (!home_.empty()) read(home_ + "/.gitconfig", 0);
    }
  }

  void read(const std::string& path, int depth) {
    constexpr int kDeepest = 10;  // as git
    // Files that include themselves twice are 2^10 reads, and eight times 8^10.
    constexpr int kMostFiles = 200;
    if (depth > kDeepest || ++files_ > kMostFiles) return;
    const auto text = read_git_file(path);
    if (!text) return;
    parse_git_config(*text, [&](const GitSetting& setting) { use(setting, path, depth); });
  }

  void use(const GitSetting& setting, const std::string& path, int depth) {
    if (setting.section == "user" && setting.subsection.empty() && setting.variable == "email") {
      email_ = setting.value;
    } else if (setting.section == "extensions" && setting.variable == "worktreeconfig") {
      worktree_config_ = setting.value == "true";
    } else if (setting.section == "safe" && setting.variable == "directory") {
      // An empty one forgets those before it (git-config(1)).
      if (setting.value.empty()) safe_.clear();
      if (!setting.value.empty()) safe_.push_back(expanded(setting.value));
    } else if (setting.variable == "path" && !setting.value.empty() &&
               ((setting.section == "include" && setting.subsection.empty()) ||
                (setting.section == "includeif" && holds(setting.subsection, path)))) {
      read(path_from(folder_of(path), expanded(setting.value)), depth + 1);
    }
  }

  // Whether safe.directory names the repository's folder: itself, all below one, or "*".
  [[nodiscard]] bool says_safe(const GitRepository& repository) const {
    for (const std::string& safe : safe_) {
      if (safe == "*" || safe == repository.folder) return true;
      if (safe.ends_with("/*") &&
          repository.folder.starts_with(std::string_view(safe).substr(0, safe.size() - 1))) {
        return true;
      }
    }
    return false;
  }

  // "~/x" in the user's own folder.
  std::string expanded(const std::string& path) const {
    return path.starts_with("~/") && !home_.empty() ? home_ + path.substr(1) : path;
  }

  // Whether an includeIf of this condition counts: gitdir:PATTERN and gitdir/i:PATTERN.
  bool holds(std::string_view condition, const std::string& file) const {
    if (!repository_) return false;
    int flags = FNM_PATHNAME;
    if (condition.starts_with("gitdir:")) {
      condition.remove_prefix(7);
    } else if (condition.starts_with("gitdir/i:")) {
      condition.remove_prefix(9);
      flags |= FNM_CASEFOLD;
    } else {
      return false;
    }
    std::string pattern = expanded(std::string(condition));
    if (pattern.starts_with("./")) {
      pattern = folder_of(file) + pattern.substr(1);
    } else if (!pattern.starts_with('/')) {
      pattern = "**/" + pattern;
    }
    if (pattern.ends_with('/')) pattern += "**";
    std::array<char, 4096> real;
    const char* resolved = ::realpath(repository_->git_dir.c_str(), real.data());
    int looks = 0;
    return matches(pattern, resolved != nullptr ? resolved : repository_->git_dir, flags, looks);
  }

  // fnmatch knows no "**": any number of folders. A pattern with many of them could be tried in
  // more ways than anybody has time for: after so many looks it does not match.
  static bool matches(const std::string& pattern, const std::string& path, int flags, int& looks) {
    constexpr int kMostLooks = 10'000;
    if (++looks > kMostLooks) return false;
    const std::size_t stars = pattern.find("**");
    if (stars == std::string::npos) return ::fnmatch(pattern.c_str(), path.c_str(), flags) == 0;
    const std::string before = pattern.substr(0, stars);
    std::string after = pattern.substr(stars + 2);
    const bool at_end = after.empty();
    if (after.starts_with('/')) after.erase(0, 1);
    // `before` ends at a slash, or is empty: try every slash of the path for its end.
    for (std::size_t end = 0; end <= path.size(); ++end) {
      if (!before.empty() && (end == 0 || path[end - 1] != '/')) continue;
      if (::fnmatch(before.c_str(), path.substr(0, end).c_str(), flags) != 0) continue;
      if (at_end) return true;
      for (std::size_t begin = end; begin <= path.size(); ++begin) {
        if (begin > 0 && path[begin - 1] != '/') continue;
        if (matches(after, path.substr(begin), flags, looks)) return true;
      }
    }
    return false;
  }

  // GIT_CONFIG_COUNT, GIT_CONFIG_KEY_0, GIT_CONFIG_VALUE_0, …
  void read_environment() {
    const std::string text = environment_("GIT_CONFIG_COUNT").value_or("");
    int count = 0;
    std::from_chars(text.data(), text.data() + text.size(), count);
    constexpr int kMost = 1000;
    for (int i = 0; i < count && i < kMost; ++i) {
      std::string key = environment_(fmt::format("GIT_CONFIG_KEY_{}", i)).value_or("");
      for (char& c : key) c = ascii_lower(c);
      if (key == "user.email") email_ = environment_(fmt::format("GIT_CONFIG_VALUE_{}", i));
    }
  }

  const Getenv& environment_;
  std::string home_;
  std::optional<GitRepository> repository_;  // none: there is none that may be believed
  std::vector<std::string> safe_;
  bool worktree_config_ = false;
  int files_ = 0;
  std::optional<std::string> email_;
};

}  // namespace

bool parse_git_config(std::string_view text, const std::function<void(const GitSetting&)>& each) {
  return Parser(text, each).parse();
}

std::optional<std::string> git_user_email(const std::string& folder, const Getenv& environment) {
  return EmailSearch(folder, environment).run();
}

}  // namespace sluice::cache_cli
