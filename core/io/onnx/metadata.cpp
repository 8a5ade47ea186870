// metadata_props to name, task, classes and preprocessing; sane defaults where the file says nothing.
#include "core/io/onnx/metadata.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/io/json_text.hpp"
#include "core/io/onnx/proto.hpp"

namespace binade::importer {
namespace {

using Triple = std::array<double, 3>;

/// Recursive descent over affine functions of one variable. Any error ends in `failed_`.
class FormulaReader {
 public:
  FormulaReader(std::string_view text, const Triple& mean, const Triple& std) : rest_(text), mean_(mean), std_(std) {}

  std::optional<Affine> read() {
    if (rest_.size() > 400) return std::nullopt;
    const std::string_view whole = rest_;
    const std::string target = word();
    if (target.empty() || !accept('=')) rest_ = whole;  // "x = ..." names the result, not the variable
    const Affine result = sum();
    if (!rest_.empty() && rest_[0] == '(') return std::nullopt;  // "log(x)": a call, not a remark
    skip_spaces();
    const bool remark = !rest_.empty() && (rest_[0] == ',' || rest_[0] == ';' || rest_[0] == '(');
    if (failed_ || !(rest_.empty() || remark)) return std::nullopt;
    for (std::size_t i = 0; i < 3; ++i) {
      if (!std::isfinite(result.slope[i]) || !std::isfinite(result.offset[i]) || result.slope[i] == 0)
        return std::nullopt;
    }
    return result;
  }

 private:
  void skip_spaces() {
    while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_[0])) != 0) rest_.remove_prefix(1);
  }
  /// Takes the character behind any spaces; takes nothing, not even the spaces, if it is another one.
  bool accept(char wanted) {
    const std::size_t at = std::min(rest_.find_first_not_of(" \t"), rest_.size());
    if (at == rest_.size() || rest_[at] != wanted) return false;
    rest_.remove_prefix(at + 1);
    return true;
  }
  std::string word() {
    skip_spaces();
    std::size_t length = 0;
    while (length < rest_.size() &&
           (std::isalpha(static_cast<unsigned char>(rest_[length])) != 0 || rest_[length] == '_'))
      ++length;
    std::string found(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return found;
  }
  Affine sum() {
    Affine left = product();
    for (;;) {
      const bool plus = accept('+');
      if (!plus && !accept('-')) return left;
      const Affine right = product();
      for (std::size_t i = 0; i < 3; ++i) {
        left.slope[i] += plus ? right.slope[i] : -right.slope[i];
        left.offset[i] += plus ? right.offset[i] : -right.offset[i];
      }
    }
  }
  Affine product() {
    Affine left = factor();
    for (;;) {
      const bool times = accept('*');
      if (!times && !accept('/')) return left;
      const Affine right = factor();
      for (std::size_t i = 0; i < 3; ++i) {
        const bool linear = right.slope[i] == 0 || (times && left.slope[i] == 0);
        failed_ = failed_ || !linear || (!times && right.offset[i] == 0);
        if (failed_) return left;
        const double slope =
            times ? left.slope[i] * right.offset[i] + right.slope[i] * left.offset[i] : left.slope[i] / right.offset[i];
        left.offset[i] = times ? left.offset[i] * right.offset[i] : left.offset[i] / right.offset[i];
        left.slope[i] = slope;
      }
    }
  }
  Affine factor() {
    skip_spaces();
    if (rest_.empty() || failed_) return fail();
    if (accept('-')) {
      Affine value = factor();
      for (std::size_t i = 0; i < 3; ++i) value.slope[i] = -value.slope[i], value.offset[i] = -value.offset[i];
      return value;
    }
    if (accept('(')) {
      const Affine value = sum();
      return accept(')') ? value : fail();
    }
    if (std::isdigit(static_cast<unsigned char>(rest_[0])) != 0 || rest_[0] == '.') return number();
    const std::string name = word();
    if (name.empty()) return fail();
    if (name == "mean") return {.offset = mean_};
    if (name == "std") return {.offset = std_};
    if (!variable_.empty() && name != variable_) return fail();
    variable_ = name;
    return {.slope = {1, 1, 1}};
  }
  Affine number() {
    std::size_t length = 0;
    const std::string text(rest_.substr(0, 32));
    double value = 0;
    try {
      value = std::stod(text, &length);
    } catch (const std::exception&) {
      return fail();
    }
    rest_.remove_prefix(length);
    return {.offset = {value, value, value}};
  }
  Affine fail() {
    failed_ = true;
    return {};
  }

  std::string_view rest_;
  Triple mean_, std_;
  std::string variable_;
  bool failed_ = false;
};

/// A JSON list of three (or one, repeated) finite numbers.
std::optional<Triple> read_triple(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array() || (found->size() != 3 && found->size() != 1)) return std::nullopt;
  Triple values{};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& element = (*found)[found->size() == 1 ? 0 : i];
    if (!element.is_number()) return std::nullopt;
    values[i] = element.get<double>();
  }
  return values;
}

std::string read_text(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

/// The line that our own files hold. @throws nothing: false if there is none, or it is no preprocessing
bool read_own_line(const nlohmann::json& json, Preprocessing& preprocessing) {
  const std::string line = read_text(json, "binade");
  if (line.empty()) return false;
  try {
    preprocessing = parse_preprocessing(line, preprocessing);
  } catch (const DataError&) {
    return false;
  }
  return true;
}

/// False if the text is not a preprocessing that can be understood.
bool read_preprocessing(const std::string& text, bool gray, Preprocessing& preprocessing) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return false;
  if (read_own_line(json, preprocessing)) return true;
  const auto mean = read_triple(json, "mean"), std = read_triple(json, "std");
  const std::string formula = read_text(json, "formula"), color = read_text(json, "color");
  if (color != "" && color != "RGB" && color != "BGR") return false;
  preprocessing.color = gray             ? Preprocessing::Color::gray
                        : color == "BGR" ? Preprocessing::Color::bgr
                                         : Preprocessing::Color::rgb;
  if ((formula.find("mean") != std::string::npos && !mean) || (formula.find("std") != std::string::npos && !std))
    return false;
  const auto affine = read_formula(formula, mean.value_or(Triple{}), std.value_or(Triple{1, 1, 1}));
  if (!affine) return false;
  for (std::size_t i = 0; i < 3; ++i) {
    preprocessing.scale[i] = affine->slope[i];
    preprocessing.mean[i] = affine->offset[i] == 0 ? 0 : -affine->offset[i] / affine->slope[i];
  }
  return true;
}

/// The usual rule where a file does not say its own.
void assume_preprocessing(int channels, Preprocessing& preprocessing) {
  if (channels == 3) {  // ImageNet statistics of torchvision
    constexpr Triple mean{0.485, 0.456, 0.406}, deviation{0.229, 0.224, 0.225};
    for (std::size_t i = 0; i < 3; ++i) {
      preprocessing.mean[i] = 255 * mean[i];
      preprocessing.scale[i] = 1 / (255 * deviation[i]);
    }
    return;
  }
  preprocessing.color = Preprocessing::Color::gray;
  preprocessing.scale = {1.0 / 255, 1.0 / 255, 1.0 / 255};
}

std::string trimmed(std::string text) {
  const auto space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), space));
  text.erase(std::find_if_not(text.rbegin(), text.rend(), space).base(), text.end());
  return text;
}

/// Class names from a JSON list, from "a, b, c" or from "remark: a b c", if there are `count` of them; else none.
std::vector<std::string> read_classes(const std::string& text, int count) {
  std::vector<std::string> names;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_array()) {
    for (const auto& name : json) {
      if (name.is_string()) names.push_back(name.get<std::string>());
    }
    return static_cast<int>(names.size()) == count ? names : std::vector<std::string>{};
  }
  std::string part;
  for (std::stringstream list(text); std::getline(list, part, ',');) {
    part = trimmed(part);
    const std::string index = std::to_string(names.size()) + " ";  // "0 cat, 1 dog"
    names.push_back(part.starts_with(index) ? part.substr(index.size()) : part);
  }
  if (static_cast<int>(names.size()) == count && count > 1) return names;
  names.clear();
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return {};
  std::stringstream words(text.substr(colon + 1));
  while (words >> part) names.push_back(part);
  return static_cast<int>(names.size()) == count ? names : std::vector<std::string>{};
}

void choose_resize(const Shape& input, Task task, Preprocessing& preprocessing) {
  preprocessing.crop_height = input.h;
  preprocessing.crop_width = input.w;
  const int crop = std::min(input.h, input.w);
  // 224 of 256 is the customary crop; small images and dense labels must keep the whole picture.
  preprocessing.size = static_cast<int>(std::lround(crop * 256.0 / 224.0));
  preprocessing.resize = task == Task::segmentation || std::max(input.h, input.w) <= 96 ? Preprocessing::Resize::exact
                                                                                        : Preprocessing::Resize::shrink;
}

}  // namespace

std::optional<Affine> read_formula(std::string_view text, const Triple& mean, const Triple& std) {
  return FormulaReader(text, mean, std).read();
}

void read_metadata(const ::onnx::ModelProto& proto, const std::string& origin, Model& model) {
  std::map<std::string, std::string> said;
  for (const auto& entry : proto.metadata_props()) {
    if (is_utf8(entry.key()) && is_utf8(entry.value())) said[entry.key()] = entry.value();
  }
  const auto take = [&](const char* key) {
    const auto node = said.extract(key);
    return node.empty() ? std::string() : node.mapped();
  };
  const Shape input = model.graph.shape(model.graph.inputs()[0]), output = model.graph.shape(model.graph.output());
  const std::string name = take("name"), task = take("task"), preprocessing = take("preprocessing");
  take("input_layout");
  model.name = name.empty() ? std::filesystem::path(origin).stem().string() : name;
  const bool dense = output.h > 1 || output.w > 1;
  model.task =
      task == "segmentation" || (task != "classification" && dense) ? Task::segmentation : Task::classification;
  if (const auto classes = said.find("classes"); classes != said.end())
    model.classes = read_classes(classes->second, output.c);
  model.notes.insert(said.begin(), said.end());
  choose_resize(input, model.task, model.preprocessing);
  if (preprocessing.empty() || !read_preprocessing(preprocessing, input.c == 1, model.preprocessing)) {
    assume_preprocessing(input.c, model.preprocessing);
    model.notes["preprocessing"] = "assumed";
    if (!preprocessing.empty()) model.notes["preprocessing_unread"] = preprocessing;
  } else {
    model.notes.erase("preprocessing");
  }
}

void drop_class_offset(const ReadOptions& options, Model& model) {
  const auto note = model.notes.extract("class_offset");
  int offset = 0;
  if (!note.empty()) {
    const std::string& said = note.mapped();
    const auto [end, error] = std::from_chars(said.data(), said.data() + said.size(), offset);
    if (error != std::errc{} || end != said.data() + said.size()) {
      throw DataError(
          fmt::format("its metadata says class_offset '{}', want a number; --class-offset overrides it", said));
    }
  }
  if (options.class_offset) offset = *options.class_offset;
  const Shape output = model.graph.shape(model.graph.output());
  if (offset == 0) return;
  if (offset < 0 || offset >= output.c) {
    throw DataError(fmt::format("a class offset of {} leaves nothing of {} outputs", offset, output.c));
  }
  const std::string name = model.graph.unique_name("without_background");
  model.graph.set_output(
      model.graph.add(name, Slice{.axis = 3, .begin = offset, .end = output.c}, {model.graph.output()}));
  if (static_cast<int>(model.classes.size()) == output.c)
    model.classes.erase(model.classes.begin(), model.classes.begin() + offset);
  model.notes["class_offset_applied"] =
      fmt::format("the first {} of {} outputs {} left out, since class 0 comes after ({})", offset, output.c,
                  offset == 1 ? "is" : "are", options.class_offset ? "--class-offset" : "class_offset of the file");
}

}  // namespace binade::importer
