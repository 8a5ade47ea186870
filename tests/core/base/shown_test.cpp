// Texts from outside as messages print them.
#include "core/base/shown.hpp"

#include <gtest/gtest.h>

namespace binade {
namespace {

TEST(Shown, ControlCharactersBecomeEscapes) {
  EXPECT_EQ(printable("a b/c.png"), "a b/c.png");
  EXPECT_EQ(printable("\xc3\xa4\xe2\x82\xac"), "\xc3\xa4\xe2\x82\xac");
  EXPECT_EQ(printable("a\nb\tc\r"), "a\\nb\\tc\\r");
  EXPECT_EQ(printable("\x1b[31mred\x7f"), "\\x1b[31mred\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m");  // the one-character form of ESC [
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(shown("x/y\nz"), "'x/y\\nz'");
}

TEST(Shown, BytesThatAreNoUtf8BecomeEscapes) {
  EXPECT_EQ(printable("\xff"), "\\xff");
  EXPECT_EQ(printable("\xc3"), "\\xc3");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");                    // an overlong '/'
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // half of a pair
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond the last
  EXPECT_EQ(printable("a\x80z"), "a\\x80z");
}

TEST(Shown, LongTextsAreCutBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 3), "abc...");
  EXPECT_EQ(printable("ab\xc3\xa4z", 3), "ab...");
}

TEST(Shown, LinesOfAMessageStay) {
  EXPECT_EQ(printable_lines("one\n  two\x1b"), "one\n  two\\x1b");
}

}  // namespace
}  // namespace binade
