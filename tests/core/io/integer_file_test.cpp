// Programs in files: what is read equals what was written, and nothing that could not be run is read.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "core/integer/fields.hpp"
#include "core/io/program_file.hpp"
#include "core/io/sealed_file.hpp"
#include "tests/harness/check_op.hpp"
#include "tests/harness/random_program.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class ProgramFileTest : public testing::Test {
 protected:
  ProgramFileTest() : folder_(fs::temp_directory_path() / ("binade_program_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~ProgramFileTest() override { fs::remove_all(folder_); }
  fs::path path() const { return folder_ / "program.h5"; }
  std::string bytes() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  fs::path folder_;
};

Program chain(std::uint64_t seed, int instructions = 8) {
  Random random(seed, 31);
  return harness::random_program(random, {.instructions = instructions, .max_extent = 5, .max_channels = 8});
}

TEST_F(ProgramFileTest, everything_comes_back) {
  harness::fuzz(60, [&](std::uint64_t seed, Random&) {
    Program program = chain(seed);
    program.target = "t\xc3\xa4 \"x\"";
    save_program(program, path());
    const Program read = load_program(path());
    EXPECT_TRUE(read == program);
    EXPECT_EQ(program_hash(read), program_hash(program));
  });
}

TEST_F(ProgramFileTest, a_program_without_instructions_and_constants_comes_back) {
  Program program = chain(1);
  program.code.clear();
  program.constants.clear();
  program.tensors.resize(1);
  program.output = program.input;
  save_program(program, path());
  EXPECT_TRUE(load_program(path()) == program);
}

TEST_F(ProgramFileTest, the_same_program_gives_the_same_bytes) {
  save_program(chain(2), path());
  const std::string first = sha256_file(path());
  save_program(chain(2), path());
  EXPECT_EQ(sha256_file(path()), first);
}

TEST_F(ProgramFileTest, truncations_and_changed_bytes_are_refused) {
  save_program(chain(3), path());
  const std::string good = bytes();
  Random random(11);
  for (int i = 0; i < 1200; ++i) {
    std::string damaged = good;
    const auto at = static_cast<std::size_t>(random.below(good.size()));
    if (i % 2 == 0) {
      damaged.resize(at);
    } else {
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << random.below(8)));
    }
    std::ofstream(path(), std::ios::binary) << damaged;
    EXPECT_THROW(load_program(path()), DataError) << at;
  }
}

TEST_F(ProgramFileTest, other_files_are_refused_by_name) {
  const auto message = [&]() -> std::string {
    try {
      load_program(path());
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message().find("No such file"), std::string::npos) << message();
  std::ofstream(path()) << "hello";
  EXPECT_NE(message().find("is not a program: it does not begin with 'Binade program'"), std::string::npos);
  save_sealed(path(), {.first_line = "Binade program", .noun = "program"},
              [](Hdf5File& file) { file.write_text("/other", "x"); });
  EXPECT_NE(message().find("/constants"), std::string::npos) << message();
}

/// The message that a program's description gives after `edit`; "" if it is accepted.
std::string refusal(const Program& program, const std::function<void(json&)>& edit) {
  json j = json::parse(program_to_json(program));
  edit(j);
  try {
    program_from_json(j.dump(), program.constants);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

TEST(ProgramJson, refuses_what_is_no_program_and_says_why) {
  Random random(5, 31);
  const Program program = harness::random_program(random, {.operation = 0});
  EXPECT_EQ(refusal(program, [](json&) {}), "");
  const auto expect = [&](const std::string& words, const std::function<void(json&)>& edit) {
    const std::string message = refusal(program, edit);
    EXPECT_NE(message.find(words), std::string::npos) << "got: " << message;
  };
  expect("newer version", [](json& j) { j["format"] = 2; });
  expect("'code' is missing", [](json& j) { j.erase("code"); });
  expect("lists inside each other", [](json& j) {
    for (int depth = 0; depth < 100; ++depth) j["target"] = json::array({j["target"]});
  });
  expect("did you mean 'conv'?", [](json& j) { j["code"][0]["op"] = "conf"; });
  expect("'stride_h' is missing", [](json& j) { j["code"][0].erase("stride_h"); });
  expect("did you mean 'stride_h'?", [](json& j) { j["code"][0]["stride_x"] = 1; });
  expect("want an integer in -2147483648 .. 2147483647, found 1.5", [](json& j) { j["code"][0]["stride_h"] = 1.5; });
  expect("found 18446744073709551615", [](json& j) { j["code"][0]["acc_bound"] = ~std::uint64_t{0}; });
  expect("want true or false", [](json& j) { j["code"][0]["transposed"] = 1; });
  expect("unknown rounding", [](json& j) { j["code"][0]["requant"]["rounding"] = "up"; });
  expect("unknown field 'n'", [](json& j) { j["input"]["n"] = 1; });
  expect("reading 'in'", [](json& j) { j["code"][0]["in"] = 3; });
  expect("'tensors' is not a list", [](json& j) { j["tensors"] = 3; });
}

TEST(ProgramHash, knows_every_field_but_the_names) {
  const Program program = chain(6, 12);
  Program renamed = program;
  renamed.code[0].name = "other";
  renamed.tensors[0].name = "other";
  EXPECT_EQ(program_hash(renamed), program_hash(program));
  const auto differs = [&](const std::function<void(Program&)>& edit) {
    Program other = program;
    edit(other);
    EXPECT_NE(program_hash(other), program_hash(program));
  };
  differs([](Program& p) { p.constants.back() ^= std::byte{1}; });
  differs([](Program& p) { p.constants.emplace_back(); });
  differs([](Program& p) { p.arena_bytes += 64; });
  differs([](Program& p) { p.target += "x"; });
  differs([](Program& p) { p.accumulator_bits ^= 1; });
  differs([](Program& p) { p.input_rounding = static_cast<Rounding>((static_cast<int>(p.input_rounding) + 1) % 3); });
  differs([](Program& p) { p.code.pop_back(); });
  differs([](Program& p) { p.tensors.pop_back(); });
  differs([](Program& p) { p.output.spec.frac ^= 1; });
  // Every number of every instruction.
  const json j = json::parse(program_to_json(program));
  for (std::size_t i = 0; i < program.code.size(); ++i) {
    for (const auto& [name, value] : j["code"][i].items()) {
      if (!value.is_number()) continue;
      differs([&, field = name](Program& p) {
        std::visit(
            [&](auto& instr) {
              visit_fields(instr, [&](std::string_view key, auto& number) {
                if constexpr (std::is_integral_v<std::remove_reference_t<decltype(number)>>) {
                  if (key == field) number ^= 1;
                }
              });
            },
            p.code[i].operation);
      });
    }
  }
}

/// Paths of all members and elements of a JSON document.
void collect(const json& j, const json::json_pointer& at, std::vector<json::json_pointer>& all) {
  if (!at.empty()) all.push_back(at);
  if (j.is_object()) {
    for (const auto& [name, value] : j.items()) collect(value, at / name, all);
  } else if (j.is_array()) {
    for (std::size_t i = 0; i < j.size(); ++i) collect(j[i], at / i, all);
  }
}

void edit_number(json& value, Random& random) {
  const auto old = value.get<std::int64_t>();
  const std::int64_t limits[] = {0,         1,         -1,      INT32_MAX, INT32_MIN, 1 << 20, std::int64_t{1} << 32,
                                 INT64_MAX, INT64_MIN, 1 << 16, 255,       63,        64,      std::int64_t{1} << 31};
  switch (random.below(4)) {
    case 0: value = limits[random.below(std::size(limits))]; break;
    case 1:
      value = static_cast<std::int64_t>(static_cast<std::uint64_t>(old) ^ (std::uint64_t{1} << random.below(24)));
      break;
    case 2: value = old + harness::between(random, -2, 2); break;
    default: value = harness::between(random, -8, 80); break;
  }
}

void edit_json(json& j, Random& random) {
  std::vector<json::json_pointer> all;
  collect(j, json::json_pointer(), all);
  const auto at = all[random.below(all.size())];
  json& value = j[at];
  if (value.is_number_integer()) {
    edit_number(value, random);
  } else if (value.is_boolean()) {
    value = !value.get<bool>();
  } else if (value.is_string()) {
    const char* words[] = {"conv", "half_even", "rescale", "slice", "", "max_pool"};
    value = words[random.below(std::size(words))];
  } else if (value.is_array() && value.size() > 1) {  // instructions or tensors: swapped, repeated, left out
    const auto from = random.below(value.size()), to = random.below(value.size());
    switch (random.below(3)) {
      case 0: std::swap(value[from], value[to]); break;
      case 1: value.push_back(json(value[from])); break;
      default: value.erase(from); break;
    }
  } else {
    const auto other = all[random.below(all.size())];
    value = json(j[other]);
  }
}

/// Runs what was accepted in memory that is exactly as large as it asks for: a sanitizer sees every step beside it.
void run_accepted(const Program& program, Random& random) {
  if (program.arena_bytes > (1U << 20)) return;
  harness::run_reference(program, harness::random_codes(random, program.input));
}

TEST(ProgramFuzz, what_is_accepted_runs_inside_its_memory) {
  int accepted = 0, refused = 0;
  harness::fuzz(300, [&](std::uint64_t seed, Random& random) {
    const Program program = chain(seed, harness::between(random, 1, 6));
    const json good = json::parse(program_to_json(program));
    for (int i = 0; i < 40; ++i) {
      json j = good;
      std::vector<std::byte> constants = program.constants;
      const bool in_constants = random.below(4) == 0 && !constants.empty();
      for (std::uint64_t edits = 1 + random.below(2); edits > 0; --edits) {
        if (!in_constants) {
          edit_json(j, random);
        } else if (random.below(20) == 0) {
          constants.resize(random.below(constants.size() + 1));
        } else if (!constants.empty()) {
          constants[random.below(constants.size())] ^= static_cast<std::byte>(1U << random.below(8));
        }
      }
      try {
        const Program mutant = program_from_json(j.dump(), constants);
        ++accepted;
        run_accepted(mutant, random);
      } catch (const DataError& error) {
        ++refused;
        EXPECT_NE(std::string(error.what()), "");
      }
    }
  });
  EXPECT_GT(accepted, 50);
  EXPECT_GT(refused, 50);
}

TEST_F(ProgramFileTest, sealed_nonsense_is_refused_by_what_it_says) {
  int refused = 0;
  harness::fuzz(100, [&](std::uint64_t seed, Random& random) {
    const Program program = chain(seed, 4);
    std::string text = program_to_json(program);
    for (std::uint64_t edits = 1 + random.below(3); edits > 0; --edits) {
      const auto at = static_cast<std::size_t>(random.below(text.size()));
      text[at] = "0123456789-[]{}\",.eE:tn"[random.below(23)];
    }
    save_sealed(path(), {.first_line = "Binade program", .noun = "program"}, [&](Hdf5File& file) {
      file.write_text("/program", text);
      const std::int64_t dims[] = {static_cast<std::int64_t>(program.constants.size())};
      file.write<std::uint8_t>(
          "/constants", {reinterpret_cast<const std::uint8_t*>(program.constants.data()), program.constants.size()},
          dims);
    });
    try {
      run_accepted(load_program(path()), random);
    } catch (const DataError& error) {
      ++refused;
      EXPECT_NE(std::string(error.what()).find("while reading the program"), std::string::npos) << error.what();
    }
  });
  EXPECT_GT(refused, 10);
}

}  // namespace
}  // namespace binade
