// The one function of OpenMP that is used: oneDNN's runtime must not start threads of its own inside ours.
#pragma once

/// @source OpenMP 4.5, section 3.2.1. Declared here, because a compiler's <omp.h> belongs to its own runtime, and
/// oneDNN is built with GCC's.
extern "C" void omp_set_num_threads(int threads) noexcept;  // NOLINT(readability-identifier-naming)
