// Footnotes about images: what was assumed is said, torchvision's numbers mean what they say.
#include "experiment/notes.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "experiment/network.hpp"

namespace binade {
namespace {

TEST(PreprocessingNotes, AssumptionsAreSaid) {
  Model model;
  EXPECT_TRUE(preprocessing_notes(model).empty());
  model.notes["preprocessing"] = "assumed";
  ASSERT_EQ(preprocessing_notes(model).size(), 1U);
  EXPECT_NE(preprocessing_notes(model)[0].find("is assumed, since"), std::string::npos);
  EXPECT_NE(preprocessing_notes(model)[0].find(to_string(model.preprocessing)), std::string::npos);
  NetworkSource network;
  network.mean = "128";
  EXPECT_NE(preprocessing_notes(with_preprocessing(model, network))[0].find("assumed where no flag says otherwise"),
            std::string::npos);
}

TEST(PreprocessingNotes, NumbersOfOtherPixelsRaiseAnAlarm) {
  NetworkSource network;
  network.mean = "0.485,0.456,0.406";
  network.scale = "4.37,4.46,4.44";
  const std::vector<std::string> notes = preprocessing_notes(with_preprocessing({}, network));
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_NE(notes[0].find("Alarm: a mean below 1 beside a scale above 1"), std::string::npos);
  // Means of 0 and inputs of -1 .. 1 or 0 .. 1 are in use.
  network.mean = "0";
  EXPECT_TRUE(preprocessing_notes(with_preprocessing({}, network)).empty());
  network.mean = "127.5";
  network.scale = "0.0078431";
  EXPECT_TRUE(preprocessing_notes(with_preprocessing({}, network)).empty());
}

TEST(PreprocessingNotes, TorchvisionsNumbersAreForPixelsOfZeroToOne) {
  NetworkSource network;
  network.mean01 = "0.485,0.456,0.406";
  network.std01 = "0.229,0.224,0.225";
  const Preprocessing p = with_preprocessing({}, network).preprocessing;
  for (int pixel : {0, 100, 255}) {
    EXPECT_NEAR((pixel - p.mean[0]) * p.scale[0], (pixel / 255.0 - 0.485) / 0.229, 1e-12);
    EXPECT_NEAR((pixel - p.mean[2]) * p.scale[2], (pixel / 255.0 - 0.406) / 0.225, 1e-12);
  }
  network.std01 = "0.5";  // one number for all channels
  EXPECT_NEAR(with_preprocessing({}, network).preprocessing.scale[1], 1 / 127.5, 1e-12);
  for (const char* wrong : {"0", "-1", "a", "1,2"}) {
    network.std01 = wrong;
    EXPECT_THROW(with_preprocessing({}, network), UsageError) << wrong;
  }
  network.std01 = "0.5";
  network.scale = "1";
  EXPECT_THROW(with_preprocessing({}, network), UsageError);
}

}  // namespace
}  // namespace binade
