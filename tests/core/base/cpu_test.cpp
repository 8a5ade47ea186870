// The choice of the instruction set.
#include "core/base/cpu.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/base/error.hpp"

namespace binade {
namespace {

TEST(Cpu, names_choose_what_the_processor_has) {
  EXPECT_EQ(isa_of_name(nullptr), detected_isa());
  EXPECT_EQ(isa_of_name(""), detected_isa());
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    const std::string name(to_string(isa));
    if (isa <= detected_isa()) {
      EXPECT_EQ(isa_of_name(name.c_str()), isa);
    } else {
      EXPECT_THROW(isa_of_name(name.c_str()), UsageError);
    }
  }
}

TEST(Cpu, an_unknown_name_is_a_usage_error_that_lists_the_known) {
  try {
    isa_of_name("avx1024");
    FAIL() << "accepted";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("portable, avx2, avx512"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("avx1024"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace binade
