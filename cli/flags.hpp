// Flags and config files of one command: every key is a flag and every flag a key, bound to a variable of ours.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace binade {

/// What the words of a flag become. @throws UsageError saying what was wanted ("a whole number")
void parse_value(const std::string& text, std::string& value);
void parse_value(const std::string& text, bool& value);
void parse_value(const std::string& text, int& value);
void parse_value(const std::string& text, std::uint64_t& value);
void parse_value(const std::string& text, double& value);
void parse_value(const std::string& text, std::vector<std::string>& value);  ///< separated by commas
void parse_value(const std::string& text, std::vector<double>& value);

/// What a key says beyond its name, variable and help.
struct KeyOptions {
  std::vector<std::string> choices;  ///< the allowed words; for a list, of its elements
  /// The variable's initial value means "not set"; this says what holds then ("as the preset says").
  std::string when_unset;
};

/// Names of a room's table, as choices.
template <class Table>
std::vector<std::string> names_of(const Table& table) {
  std::vector<std::string> names;
  for (const auto& entry : table) names.emplace_back(entry.name);
  return names;
}

/// The keys of a command. Binding keeps references: the variables must outlive this.
class Flags {
 public:
  using Json = nlohmann::ordered_json;

  /// Heading of the keys that follow, in --help.
  void section(std::string title);

  /// The variable's value now is the default.
  template <class T>
  void add(const std::string& name, T& variable, std::string help, KeyOptions options = {}) {
    add_key({.name = name,
             .help = std::move(help),
             .options = std::move(options),
             .is_switch = std::is_same_v<T, bool>,
             .is_list = std::is_same_v<T, std::vector<std::string>>,
             .set = [&variable](const std::string& text) { parse_value(text, variable); },
             .get = [&variable] { return Json(variable); }});
  }

  /// Takes flags and, as the one word that is no flag, a config file; flags win over the file, the file over defaults.
  /// With `words`, such words are collected there instead, and there is no config file.
  /// @throws UsageError naming every unknown flag and key with its nearest known name, and every value that is not one
  void parse(const std::vector<std::string>& arguments, std::vector<std::string>* words = nullptr);

  /// Takes the text of a config file that lies somewhere else; `origin` says where, for messages.
  void parse_text(const std::string& text, const std::string& origin);

  /// True if flag or file gave it a value.
  bool is_set(const std::string& name) const { return explicit_.contains(name); }
  /// Gives the keys of `other` the values that were set here: an overlay on defaults found later.
  void apply_to(Flags& other) const;

  /// "Network:\n  --model FILE ...": sections, keys, choices, defaults.
  std::string help() const;
  /// All keys and their values in the form of a config file; keys that are not set are comments.
  std::string config_text() const;
  /// The same as an object from key to value; keys that are not set are absent.
  Json config() const;

 private:
  struct Key {
    std::string name, help;
    KeyOptions options;
    bool is_switch = false, is_list = false;
    std::function<void(const std::string&)> set;
    std::function<Json()> get;
    std::string section = {}, initial = {};
  };
  void add_key(Key key);
  Key* find(std::string_view name);
  std::vector<std::string_view> known_names() const;
  static void set(const Key& key, const std::string& text);
  bool has_value(const Key& key) const { return key.options.when_unset.empty() || is_set(key.name); }
  void read_arguments(const std::vector<std::string>& arguments, std::map<std::string, std::string>& values,
                      std::vector<std::string>& words, std::string& problems) const;
  void read_text(const std::string& text, const std::string& path, std::map<std::string, std::string>& values,
                 std::string& problems) const;
  /// Sets what is good; throws UsageError with all that is wrong.
  void take(const std::map<std::string, std::string>& values, std::string problems);

  std::vector<Key> keys_;
  std::string section_;
  std::map<std::string, std::string> explicit_;
};

}  // namespace binade
