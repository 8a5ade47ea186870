// The one thing that a signal handler may do: set a flag.
#include "cli/interrupt.hpp"

#include <csignal>

namespace binade {
namespace {

volatile std::sig_atomic_t received = 0;

extern "C" void remember(int number) {
  received = number;
}

}  // namespace

void remember_signals() {
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int number : {SIGINT, SIGTERM}) {
    struct sigaction old {};
    sigaction(number, nullptr, &old);
    if (old.sa_handler != SIG_IGN) sigaction(number, &action, nullptr);  // nohup and background jobs ignore SIGINT
  }
}

int remembered_signal() {
  return received;
}

}  // namespace binade
