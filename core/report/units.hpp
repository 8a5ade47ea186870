// Which images count as one: copies of an image, and neighbouring frames of a video.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace binade {

/// How many images each content has, in the order of first places, and the content 0, 1, ... of every image.
struct Copies {
  std::vector<int> content;
  std::vector<double> count;
};
Copies copies_of(std::span<const std::string> hashes);

/// Frames of a video: its name and the frame's number, "Seq05VD_f00060.png" is frame 60 of "Seq05VD_f". The last run of
/// at least three digits counts. Number -1: the name has none.
struct Frame {
  std::string sequence;
  long long number = -1;
};
Frame frame_of(const std::string& path);

struct Units {
  std::vector<int> unit;  ///< 0 .. count - 1, of every image
  int count = 0;
  bool in_order = false;  ///< some are blocks that follow one another
};

/// The unit of every image, for a bootstrap. Frames of one sequence, in the order of their numbers, form blocks of
/// `block`; images without a number are units of their own; copies of one image are in one unit. `block` 1: frames are
/// independent; 0: blocks of ten, or shorter ones so that there are at least eight.
/// @source Kuensch 1989 for blocks; CamVid's frames have a lag-1 autocorrelation of 0.42
Units bootstrap_units(std::span<const std::string> images, std::span<const std::string> hashes, int block);

}  // namespace binade
