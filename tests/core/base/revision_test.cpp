// The revision that results carry is known.
#include "core/base/revision.hpp"

#include <gtest/gtest.h>

namespace binade {
namespace {

TEST(Revision, IsNeverEmpty) {
  EXPECT_FALSE(revision().empty());
}

}  // namespace
}  // namespace binade
