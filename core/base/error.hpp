// Errors in three kinds, by who must act; the exit codes of the command line follow from them.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

#include "core/base/abi.hpp"

namespace binade {

/// Base of the three kinds. what() is the whole message, one "  while ..." line per added context.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A flag, a key or a value that the user typed. Exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// A file, an image or a model that the user gave. Exit code 3.
class DataError : public Error {
 public:
  using Error::Error;
};

/// Our own bug; the message carries file and line. Exit code 70.
class ContractError : public Error {
 public:
  using Error::Error;
};

/// Throws ContractError with `message` and the caller's place unless `condition` holds.
inline void require(bool condition, std::string_view message,
                    const std::source_location& where = std::source_location::current()) {
  if (!condition) {
    throw ContractError(std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": " +
                        std::string(message));
  }
}

/// Runs `body`; an Error that leaves it gets the line "  while `context`" and keeps its kind.
template <class Body>
auto with_context(std::string_view context, Body&& body) -> decltype(body()) {
  const auto extended = [&](const Error& error) {
    return std::string(error.what()) + "\n  while " + std::string(context);
  };
  try {
    return body();
  } catch (const UsageError& error) {
    throw UsageError(extended(error));
  } catch (const DataError& error) {
    throw DataError(extended(error));
  } catch (const ContractError& error) {
    throw ContractError(extended(error));
  }
}

}  // namespace binade
