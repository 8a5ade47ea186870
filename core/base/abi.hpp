// A symbol that carries the version: headers of one version do not link with the libraries of another.
#pragma once

#include <string_view>

namespace binade::abi {

/// The version of these headers, and the symbol that the library of the same version defines. A release changes both
/// and the project's version in CMakeLists.txt; a test compares them.
inline constexpr std::string_view kHeaders = "0.2.0";
extern const char version_0_2_0;  // NOLINT(readability-identifier-naming): what the linker prints

/// Every file that includes this needs the symbol.
[[gnu::used]] static const char* const kNeeded = &version_0_2_0;

}  // namespace binade::abi

namespace binade {

/// "0.2.0", of the library that is linked.
std::string_view version();

}  // namespace binade
