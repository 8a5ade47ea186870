# What `cmake --install` puts where: program, libraries, headers, configs, and the package that find_package(Binade) reads.
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/Binade)
set(BINADE_CONFIG_FOLDER ${CMAKE_INSTALL_DATADIR}/binade/configs)

get_property(libraries GLOBAL PROPERTY BINADE_LIBRARIES)
install(TARGETS ${libraries} EXPORT BinadeTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT BinadeTargets NAMESPACE Binade:: DESTINATION ${package_folder})
install(TARGETS binade RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
foreach(library ${libraries})
  string(REGEX REPLACE "^binade_" "" room ${library})
  install(DIRECTORY ${room} DESTINATION ${BINADE_HEADERS} FILES_MATCHING PATTERN "*.hpp")
endforeach()
install(DIRECTORY configs/ DESTINATION ${BINADE_CONFIG_FOLDER})

configure_package_config_file(cmake/BinadeConfig.cmake.in ${PROJECT_BINARY_DIR}/BinadeConfig.cmake
                              INSTALL_DESTINATION ${package_folder} PATH_VARS BINADE_CONFIG_FOLDER)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/BinadeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/BinadeConfig.cmake ${PROJECT_BINARY_DIR}/BinadeConfigVersion.cmake
        DESTINATION ${package_folder})
