# Writes OUTPUT, a source file that holds the text of every file of FOLDER: profiles that need no folder at run time.
file(GLOB profiles ${FOLDER}/*.cfg)
list(SORT profiles)
set(entries "")
foreach(profile ${profiles})
  get_filename_component(name ${profile} NAME_WE)
  file(READ ${profile} text)
  string(APPEND entries "    {\"${name}\", R\"cfg(${text})cfg\"},\n")
endforeach()
file(WRITE ${OUTPUT}.new
"// The target profiles of configs/targets as they were when this was built.
#include \"cli/built_in_profiles.hpp\"

namespace binade {

std::span<const BuiltInProfile> built_in_profiles() {
  static constexpr BuiltInProfile kProfiles[] = {
${entries}  };
  return kProfiles;
}

}  // namespace binade
")
file(COPY_FILE ${OUTPUT}.new ${OUTPUT} ONLY_IF_DIFFERENT)
