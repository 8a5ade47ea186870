// How an op is printed: its name and the fields that differ from the default.
#include <fmt/format.h>

#include "core/ops/words.hpp"

namespace binade {
namespace {

std::string text(int v) {
  return fmt::format("{}", v);
}
std::string text(double v) {
  return fmt::format("{}", v);
}
std::string text(bool v) {
  return v ? "true" : "false";
}
std::string text(const QuantSpec& s) {
  return fmt::format("{}{}.{}", s.is_signed ? 's' : 'u', int{s.bits}, int{s.frac});
}
template <class E>
requires std::is_enum_v<E> std::string text(E v) {
  return std::string(word_of(v));
}

template <class O>
std::string describe(const O& op) {
  std::string fields;
  const O standard{};
  std::apply(
      [&](const auto&... field) {
        [[maybe_unused]] const auto print = [&](const auto& f) {
          if (op.*f.member == standard.*f.member) return;
          fields += (fields.empty() ? "" : ", ") + std::string(f.name) + "=" + text(op.*f.member);
        };
        (print(field), ...);
      },
      O::fields);
  return std::string(O::name) + (fields.empty() ? "" : "(" + fields + ")");
}

}  // namespace

std::string to_string(const Op& op) {
  return std::visit([](const auto& o) { return describe(o); }, op);
}

}  // namespace binade
