// Edit distances by hand, and the sentence about an unknown name.
#include "core/base/names.hpp"

#include <array>

#include <gtest/gtest.h>

namespace binade {
namespace {

TEST(Names, EditDistanceCountsEachEditOnce) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("abc", ""), 3);
  EXPECT_EQ(edit_distance("abc", "abc"), 0);
  EXPECT_EQ(edit_distance("abc", "abd"), 1);
  EXPECT_EQ(edit_distance("abc", "acb"), 1);  // neighbours swapped
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("batch", "bacth-"), 2);
}

TEST(Names, NearestForgivesCaseAndDashes) {
  const std::array<std::string_view, 4> known{"mobilenet_v1", "mobilenet_v2", "resnet18", "resnet50"};
  EXPECT_EQ(nearest_name("MobileNet-V2", known), "mobilenet_v2");
  EXPECT_EQ(nearest_name("mobilenet_v", known), "mobilenet_v1");  // a tie: the first
  EXPECT_EQ(nearest_name("resnet81", known), "resnet18");
  EXPECT_EQ(nearest_name("xyz", known), "");
  EXPECT_EQ(nearest_name("resnet18", {}), "");
}

TEST(Names, MessageListsAllKnownNames) {
  struct Entry {
    std::string_view name;
    int value;
  };
  static constexpr std::array<Entry, 2> kTable{{{"cosine", 1}, {"step", 2}}};
  EXPECT_EQ(find_by_name<Entry>("schedule", "step", kTable).value, 2);
  try {
    find_by_name<Entry>("schedule", "cosin", kTable);
    FAIL() << "an unknown name was accepted";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "unknown schedule 'cosin'; did you mean 'cosine'? Known: cosine, step");
  }
  EXPECT_EQ(unknown_name("schedule", "q", std::array<std::string_view, 1>{"cosine"}),
            "unknown schedule 'q'. Known: cosine");
}

}  // namespace
}  // namespace binade
