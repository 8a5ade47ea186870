// The text files that say which class an image or a folder has: labels.csv, synsets.txt and their relatives.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace binade {

/// Classes of folders, from a file with lines "index name words" or "name words" (then the line number is the index).
struct ClassList {
  std::filesystem::path file;                     ///< empty: there is no list
  std::map<std::string, int, std::less<>> index;  ///< by folder name (wnid)
  std::vector<std::string> names;                 ///< by index: the words, or the folder name where there are none
};

/// @throws DataError naming every line without a name, every index twice and every name twice
ClassList read_class_list(const std::filesystem::path& path);

/// Classes of single images, from labels.csv (columns file, wnid, class_index by its header line; class_index or wnid
/// may be missing) or from a list "file index".
struct LabelList {
  struct Entry {
    std::filesystem::path file;  ///< normal form, absolute
    std::string wnid;            ///< may be empty
    int index = -1;              ///< -1: only the wnid is known
  };
  std::filesystem::path file;  ///< empty: there is no list
  std::vector<Entry> entries;
};

/// @throws DataError naming every line that cannot be understood, every file listed twice and every wnid with two
/// classes
LabelList read_label_list(const std::filesystem::path& path);

}  // namespace binade
