// Names of methods, the rows of the accuracy table, and widths of single layers: "float", "ptq8-simple", "ptq16",
// "qat8", "ptq-w4a8", "calibration8", "integer8"; "first=8".
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/passes/widths.hpp"

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

/// Widths of single layers. @throws UsageError for anything but NAME=BITS, BITS from 2 to 16
std::vector<LayerWidth> parse_layer_bits(std::span<const std::string> texts);

/// "first=8, last=8"; empty if there are none.
std::string to_string(std::span<const LayerWidth> layers);

/// What --help says about the names.
extern const char* const kMethodHelp;

}  // namespace binade
