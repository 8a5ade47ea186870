// Clamps, the ops that others can do on the side: Relu and Clip.
#pragma once

#include <limits>

#include "core/ops/ops.hpp"

namespace binade {

inline bool is_clamp(const Op& op) {
  return traits_of(op).is_clamp;
}

/// min(max(y, lo), hi); the gradient passes where lo < y < hi. The default clamps nothing.
template <class T>
struct Limits {
  T lo = -std::numeric_limits<T>::infinity(), hi = std::numeric_limits<T>::infinity();
};

/// Those of a clamp; null: none.
template <class T>
Limits<T> limits_of(const Op* clamp) {
  if (clamp == nullptr) return {};
  if (const auto* clip = std::get_if<Clip>(clamp)) return {static_cast<T>(clip->lo), static_cast<T>(clip->hi)};
  return {.lo = T(0)};
}

/// A clamp with an upper limit.
inline bool is_capped(const Op& op) {
  return is_clamp(op) && limits_of<double>(&op).hi < std::numeric_limits<double>::infinity();
}

}  // namespace binade
