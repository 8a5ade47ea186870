// Boost.ProgramOptions splits words and files; what they mean, and what is said about mistakes, is decided here.
#include "cli/flags.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <boost/program_options.hpp>

#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/base/shown.hpp"
#include "core/io/read_file.hpp"

namespace binade {
namespace {

namespace po = boost::program_options;

template <class Number>
void parse_number(const std::string& text, Number& value, std::string_view wanted) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) throw UsageError(fmt::format("'{}' is not {}", text, wanted));
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::string part = text.substr(begin, end - begin);
    part.erase(0, part.find_first_not_of(' '));
    part.erase(part.find_last_not_of(' ') + 1);
    if (!part.empty()) parts.push_back(std::move(part));
    begin = end + 1;
  }
  return parts;
}

std::string text_of(const Flags::Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const auto& element : value) text += (text.empty() ? "" : ",") + text_of(element);
  return text;
}

void note(std::string& problems, const std::string& problem) {
  problems += (problems.empty() ? "" : "\n") + problem;
}

std::string prefix_of(std::string_view name) {
  const std::size_t dot = name.find('.');
  return std::string(name.substr(0, dot == std::string_view::npos ? 0 : dot));
}

/// `text` cut at spaces into lines of at most kWidth characters, all but the first indented.
std::string wrapped(const std::string& text, std::size_t indent) {
  constexpr std::size_t kWidth = 110;
  std::string result;
  std::size_t column = indent;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    if (column > indent && column + 1 + end - begin > kWidth) {
      result += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      result += " ";
      ++column;
    }
    result += text.substr(begin, end - begin);
    column += end - begin;
    begin = end + 1;
  }
  return result;
}

}  // namespace

void parse_value(const std::string& text, std::string& value) {
  value = text;
}

void parse_value(const std::string& text, bool& value) {
  std::string word = text;
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (word == "true" || word == "yes" || word == "on" || word == "1") {
    value = true;
  } else if (word == "false" || word == "no" || word == "off" || word == "0") {
    value = false;
  } else {
    throw UsageError(fmt::format("'{}' is neither true nor false", text));
  }
}

void parse_value(const std::string& text, int& value) {
  parse_number(text, value, "a whole number");
}

void parse_value(const std::string& text, std::uint64_t& value) {
  parse_number(text, value, "a whole number from 0 to 2^64 - 1");
}

void parse_value(const std::string& text, double& value) {
  double parsed = 0;
  parse_number(text, parsed, "a number");
  if (!std::isfinite(parsed)) throw UsageError(fmt::format("'{}' is not a finite number", text));
  value = parsed;
}

void parse_value(const std::string& text, std::vector<std::string>& value) {
  value = split(text);
}

void parse_value(const std::string& text, std::vector<double>& value) {
  std::vector<double> parsed;
  for (const std::string& part : split(text)) parse_value(part, parsed.emplace_back());
  value = parsed;
}

void Flags::section(std::string title) {
  section_ = std::move(title);
}

void Flags::add_key(Key key) {
  require(find(key.name) == nullptr, "flag '" + key.name + "' is bound twice");
  key.section = section_;
  key.initial = text_of(key.get());
  keys_.push_back(std::move(key));
}

Flags::Key* Flags::find(std::string_view name) {
  for (Key& key : keys_) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

std::vector<std::string_view> Flags::known_names() const {
  std::vector<std::string_view> names;
  for (const Key& key : keys_) names.push_back(key.name);
  return names;
}

void Flags::set(const Key& key, const std::string& text) {
  if (!key.options.choices.empty()) {
    const std::vector<std::string_view> known(key.options.choices.begin(), key.options.choices.end());
    for (const std::string& word : key.is_list ? split(text) : std::vector{text}) {
      if (std::find(known.begin(), known.end(), word) == known.end())
        throw UsageError(unknown_name("value", word, known));
    }
  }
  key.set(text);
}

void Flags::read_arguments(const std::vector<std::string>& arguments, std::map<std::string, std::string>& values,
                           std::vector<std::string>& words, std::string& problems) const {
  po::options_description description;
  for (const Key& key : keys_) description.add_options()(key.name.c_str(), po::value<std::string>());
  // A switch may stand alone and takes no word behind it; another value is attached: --force=false.
  std::vector<std::string> completed = arguments;
  for (std::string& word : completed) {
    const auto is_word = [&](const Key& key) { return key.is_switch && word == "--" + key.name; };
    if (std::any_of(keys_.begin(), keys_.end(), is_word)) word += "=true";
  }
  using namespace po::command_line_style;
  const auto parsed = po::command_line_parser(completed)
                          .options(description)
                          .style(allow_long | long_allow_adjacent | long_allow_next)
                          .allow_unregistered()
                          .run();
  const std::vector<std::string_view> known = known_names();
  for (const auto& option : parsed.options) {
    if (option.position_key >= 0 || option.string_key.empty()) {
      words.insert(words.end(), option.value.begin(), option.value.end());
    } else if (option.unregistered) {
      const std::string_view nearest = nearest_name(option.string_key, known);
      note(problems, fmt::format("unknown flag '--{}'{}", option.string_key,
                                 nearest.empty() ? "" : fmt::format("; did you mean '--{}'?", nearest)));
    } else if (!values.emplace(option.string_key, option.value.empty() ? "" : option.value.front()).second) {
      note(problems, fmt::format("flag '--{}' is given twice", option.string_key));
    }
  }
}

namespace {

/// The whole file; a folder, a pipe or a device is none.
std::string text_of_config(const std::string& path) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 20;
  try {
    const std::vector<std::byte> bytes = read_whole_file(path, "a config file", kMostBytes);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  } catch (const DataError& error) {
    throw UsageError(
        fmt::format("cannot read the config file {}: {} (flags begin with '--'; the one other word is the path of a "
                    "config file)",
                    shown(path), error.what()));
  }
}

}  // namespace

void Flags::read_text(const std::string& text, const std::string& path, std::map<std::string, std::string>& values,
                      std::string& problems) const {
  std::istringstream file(text);
  po::options_description description;
  for (const Key& key : keys_) description.add_options()(key.name.c_str(), po::value<std::string>());
  const std::vector<std::string_view> known = known_names();
  for (const auto& option : po::parse_config_file(file, description, true).options) {
    if (option.unregistered) {
      const std::string_view nearest = nearest_name(option.string_key, known);
      note(problems, fmt::format("unknown key '{}' in '{}'{}", option.string_key, path,
                                 nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest)));
    } else if (!values.emplace(option.string_key, option.value.empty() ? "" : option.value.front()).second) {
      note(problems, fmt::format("key '{}' stands twice in '{}'", option.string_key, path));
    }
  }
}

void Flags::parse(const std::vector<std::string>& arguments, std::vector<std::string>* words) {
  std::map<std::string, std::string> from_flags, values;
  std::vector<std::string> others;
  std::string problems;
  try {
    read_arguments(arguments, from_flags, others, problems);
    // Words behind an unknown flag may be its value: then the flag alone is to blame.
    if (problems.empty()) {
      for (const std::string& word : others) {
        if (word.starts_with("-")) note(problems, fmt::format("unknown flag '{}': flags begin with '--'", word));
      }
      if (words != nullptr) {
        *words = others;
      } else if (problems.empty() && others.size() > 1) {
        note(problems, fmt::format("unexpected word '{}': at most one config file can be given", others[1]));
      } else if (problems.empty() && others.size() == 1) {
        read_text(text_of_config(others[0]), others[0], values, problems);
      }
    }
  } catch (const po::error& error) {
    throw UsageError(error.what());
  }
  for (const auto& [name, text] : from_flags) values[name] = text;
  take(values, std::move(problems));
}

void Flags::parse_text(const std::string& text, const std::string& origin) {
  std::map<std::string, std::string> values;
  std::string problems;
  try {
    read_text(text, origin, values, problems);
  } catch (const po::error& error) {
    throw UsageError(error.what());
  }
  take(values, std::move(problems));
}

void Flags::take(const std::map<std::string, std::string>& values, std::string problems) {
  for (const auto& [name, text] : values) {
    try {
      set(*find(name), text);
      explicit_[name] = text;
    } catch (const UsageError& error) {
      note(problems, fmt::format("--{}: {}", name, error.what()));
    }
  }
  if (!problems.empty()) throw UsageError(problems);
}

void Flags::apply_to(Flags& other) const {
  for (const auto& [name, text] : explicit_) {
    const Key* key = other.find(name);
    if (key == nullptr) continue;
    set(*key, text);
    other.explicit_[name] = text;
  }
}

std::string Flags::help() const {
  constexpr std::size_t kIndent = 28;
  std::string text, heading;
  for (const Key& key : keys_) {
    if (key.section != heading) {
      heading = key.section;
      text += fmt::format("\n{}:\n", heading);
    }
    std::string line = "  --" + key.name;
    line += line.size() + 2 > kIndent ? "\n" + std::string(kIndent, ' ') : std::string(kIndent - line.size(), ' ');
    std::string words = key.help;
    if (!key.options.choices.empty()) words += fmt::format(" [{}]", fmt::join(key.options.choices, " "));
    const std::string value = key.options.when_unset.empty() ? key.initial : key.options.when_unset;
    if (!value.empty()) words += fmt::format(" (default: {})", value);
    text += line + wrapped(words, kIndent) + "\n";
  }
  return text;
}

std::string Flags::config_text() const {
  // Keys without a prefix first: once a section began there is no way out of it.
  std::vector<std::string> prefixes{""};
  for (const Key& key : keys_) {
    if (std::find(prefixes.begin(), prefixes.end(), prefix_of(key.name)) == prefixes.end()) {
      prefixes.push_back(prefix_of(key.name));
    }
  }
  std::string text;
  for (const std::string& prefix : prefixes) {
    if (!prefix.empty()) text += "\n[" + prefix + "]\n";
    for (const Key& key : keys_) {
      if (prefix_of(key.name) != prefix) continue;
      const std::string name = prefix.empty() ? key.name : key.name.substr(prefix.size() + 1);
      const std::string value = text_of(key.get());
      text += has_value(key) ? fmt::format("{} ={}{}\n", name, value.empty() ? "" : " ", value)
                             : fmt::format("# {} = ({})\n", name, key.options.when_unset);
    }
  }
  return text;
}

Flags::Json Flags::config() const {
  Json config = Json::object();
  for (const Key& key : keys_) {
    if (has_value(key)) config[key.name] = key.get();
  }
  return config;
}

}  // namespace binade
