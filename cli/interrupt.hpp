// SIGINT and SIGTERM as a question that jobs ask between units of work.
#pragma once

#include <string>
#include <utility>

#include "core/base/progress.hpp"

namespace binade {

/// From now on the first SIGINT or SIGTERM is remembered instead of ending the program; the second one ends it.
void remember_signals();

/// The signal that came, or 0.
int remembered_signal();

/// A job that a signal ended between two units of work.
struct Interrupted : Cancelled {
  Interrupted(int number, std::string what_remains) : signal(number), hint(std::move(what_remains)) {}
  int signal;
  std::string hint;  ///< what is kept and how to continue
};

}  // namespace binade
