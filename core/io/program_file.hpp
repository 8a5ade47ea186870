// Integer programs in files: sealed HDF5 with /program, everything but the constants as JSON, and /constants, bytes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "core/integer/program.hpp"

namespace binade {

/// An old file is replaced in one step; the same program gives the same bytes.
/// @throws DataError if the file cannot be written, or a name is not UTF-8
void save_program(const Program& program, const std::filesystem::path& path);

/// The program, valid. @throws DataError for a file that is missing, cut off, damaged, of a newer format, or that holds
/// what cannot be run
Program load_program(const std::filesystem::path& path);

/// Everything but the constants, as JSON text; and back, validated.
std::string program_to_json(const Program& program);
/// @throws DataError for anything that is not a valid program
Program program_from_json(const std::string& text, std::vector<std::byte> constants);

}  // namespace binade
