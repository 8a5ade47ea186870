// Entry of the executable.
#include "cli/program.hpp"

int main(int argc, char** argv) {
  return binade::run_program({argv + 1, argv + argc});
}
