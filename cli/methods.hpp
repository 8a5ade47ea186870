// Names of methods, the rows of the accuracy table: "float", "ptq8-simple", "ptq16", "ptq-w4a8", "qat8",
// "calibration8", "integer8".
#pragma once

#include <string>
#include <vector>

namespace binade {

struct Method {
  enum class Kind {
    reference,
    ptq,
    qat,
    calibration,  ///< the fast mode
    integer,      ///< the network of the ptq row of the same widths, run by the integer engine
  };

  std::string name;
  Kind kind = Kind::reference;
  int weight_bits = 0, activation_bits = 0;  ///< 0: float
  bool simple = false;                       ///< min-max ranges and no correction, whatever the preset
};

/// @throws UsageError for a name that is none, with the nearest, and for widths outside 2..16
Method parse_method(const std::string& name);

/// @throws UsageError as above, for a name given twice, and for an empty list
std::vector<Method> parse_methods(const std::vector<std::string>& names);

/// What --help says about the names.
extern const char* const kMethodHelp;

}  // namespace binade
