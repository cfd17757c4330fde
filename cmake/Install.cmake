# What `make install` installs. The top CMakeLists.txt includes this after every part is declared.
#
#   bin/sluice, libexec/sluice/sluice-engine      the program: the front finds the engine from its own place
#   lib/libsluice.a, include/sluice, lib/cmake/sluice   the library, for find_package(sluice)
#   share/man, share/bash-completion, …           what goes with the program
#   share/sluice/sluice-cache.sh                  functions for shell scripts
#
# The target `installables` builds just that.
include(CMakePackageConfigHelpers)

# The man page and the completions are written by the engine from its table of commands, so they
# cannot disagree with it.
set(generated "")
function(sluice_generate file destination)
  set(output ${CMAKE_BINARY_DIR}/share/${file})
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/share
    COMMAND $<TARGET_FILE:sluice-engine> ${ARGN} > ${output}.part
    COMMAND ${CMAKE_COMMAND} -E rename ${output}.part ${output}
    DEPENDS sluice-engine COMMENT "" VERBATIM)
  install(FILES ${output} DESTINATION ${CMAKE_INSTALL_DATADIR}/${destination})
  set(generated ${generated} ${output} PARENT_SCOPE)
endfunction()
sluice_generate(sluice.1 man/man1 man)
sluice_generate(sluice bash-completion/completions completion bash)
sluice_generate(_sluice zsh/site-functions completion zsh)
sluice_generate(sluice.fish fish/vendor_completions.d completion fish)

add_custom_target(installables ALL DEPENDS ${generated})
add_dependencies(installables sluice sluice-front sluice-engine)

# The front looks for ../libexec/sluice/sluice-engine, so these two names are fixed.
install(TARGETS sluice-front RUNTIME DESTINATION bin)
install(TARGETS sluice-engine RUNTIME DESTINATION libexec/sluice)
install(FILES packaging/shell/sluice-cache.sh DESTINATION ${CMAKE_INSTALL_DATADIR}/sluice)
install(FILES LICENSE NOTICE docs/third-party.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(TARGETS sluice sluice_asio EXPORT sluice-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY src/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/sluice
        FILES_MATCHING PATTERN "*.h"
        # Belong to the tests.
        PATTERN "conformance.h" EXCLUDE PATTERN "faulty.h" EXCLUDE
        PATTERN "scripted_server.h" EXCLUDE PATTERN "redis_server.h" EXCLUDE PATTERN "redis_opening.h" EXCLUDE PATTERN "*_test.h" EXCLUDE)
set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/sluice)
install(EXPORT sluice-targets NAMESPACE sluice:: DESTINATION ${config_folder})
configure_package_config_file(packaging/sluice-config.cmake.in
  ${CMAKE_BINARY_DIR}/packaging/sluice-config.cmake INSTALL_DESTINATION ${config_folder})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/packaging/sluice-config-version.cmake
  COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_BINARY_DIR}/packaging/sluice-config.cmake
              ${CMAKE_BINARY_DIR}/packaging/sluice-config-version.cmake
        DESTINATION ${config_folder})
