// Progress lines: what is told about a job, and that the last line comes when it ends.
#include "cli/terminal_progress.hpp"

#include <gtest/gtest.h>

namespace binade {
namespace {

TEST(Progress, DurationsUseTheUnitThatReads) {
  EXPECT_EQ(duration_text(0.04), "0.0 s");
  EXPECT_EQ(duration_text(8.31), "8.3 s");
  EXPECT_EQ(duration_text(9.97), "10 s");
  EXPECT_EQ(duration_text(59.6), "1 min 00 s");
  EXPECT_EQ(duration_text(125), "2 min 05 s");
  EXPECT_EQ(duration_text(4020), "1 h 07 min");
}

TEST(Progress, TellsRateAndTimeLeft) {
  EXPECT_EQ(progress_text("calibrate", 64, 256, "images", 2),
            "calibrate  64/256 images  25 %  32.0 images/s  6.0 s left");
  EXPECT_EQ(progress_text("calibrate", 256, 256, "images", 2), "calibrate  256/256 images  100 %  128 images/s  2.0 s");
  EXPECT_EQ(progress_text("scan", 10, 0, "files", 1), "scan  10 files  10.0 files/s");
  EXPECT_EQ(progress_text("scan", 0, 5, "files", 0), "scan  0/5 files  0 %");
}

TEST(Progress, WritesALastLineWithTheNote) {
  TerminalProgress terminal;
  testing::internal::CaptureStderr();
  {
    Progress progress({.progress = &terminal}, "train", 3, "steps");
    progress.advance(3);
    progress.note("loss 0.5");
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("train  3/3 steps  100 %"), std::string::npos) << text;
  EXPECT_NE(text.find("loss 0.5\n"), std::string::npos) << text;
}

TEST(Progress, NobodyNeedsToListen) {
  testing::internal::CaptureStderr();
  {
    Progress progress({}, "train", 3, "steps");
    progress.advance(3);
    progress.note("loss 0.5");
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, CancellationComesBetweenUnits) {
  bool stop = false;
  Progress progress({.cancelled = [&] { return stop; }}, "train", 3, "steps");
  EXPECT_NO_THROW(progress.advance());
  stop = true;
  EXPECT_THROW(progress.advance(), Cancelled);
}

}  // namespace
}  // namespace binade
