// Denormal numbers count as zero while the framework computes: results agree between CPUs, and none of them is slow.
//
// A number below 2^-126 in magnitude costs some CPUs a hundred times the time of another one, and dead filters that
// weight decay leaves behind hold nothing else. Every thread that computes therefore flushes denormal results to zero
// and reads denormal operands as zero: workers for their whole life, callers inside parallel_for and the executor.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace binade {

/// The calling thread treats denormals as zero until the end of the scope; then it does what it did before.
class FlushDenormals {
 public:
  FlushDenormals() : before_(read()) { write(before_ | kFlush); }
  ~FlushDenormals() { write(before_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__x86_64__)
  using Register = std::uint32_t;
  static constexpr Register kFlush = 0x8040;  ///< MXCSR: flush to zero, denormals are zero
  static Register read() {
    return _mm_getcsr();
  }
  static void write(Register value) {
    _mm_setcsr(value);
  }
#elif defined(__aarch64__)
  using Register = std::uint64_t;
  static constexpr Register kFlush = Register{1} << 24;  ///< FPCR.FZ: both, for operands and results
  static Register read() {
    Register value = 0;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void write(Register value) {
    asm volatile("msr fpcr, %0" : : "r"(value));
  }
#else
  using Register = std::uint32_t;
  static constexpr Register kFlush = 0;
  static Register read() {
    return 0;
  }
  static void write(Register) {}
#endif
  Register before_;
};

/// The smallest number above x, where denormals count as zero: that of 0 is the smallest normal number.
template <class T>
T next_above(T x) {
  const T next = std::nextafter(x, std::numeric_limits<T>::infinity());
  if (std::abs(next) >= std::numeric_limits<T>::min()) return next;
  return x < 0 ? T(0) : std::numeric_limits<T>::min();
}

/// The largest number below x, likewise.
template <class T>
T next_below(T x) {
  return -next_above(-x);
}

}  // namespace binade
