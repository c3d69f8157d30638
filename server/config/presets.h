/*
 * Data files that are embedded in the program at build time (cmake/embed.cmake). Each is
 * NUL-terminated; the size does not include the NUL.
 */
#ifndef RATIOND_PRESETS_H
#define RATIOND_PRESETS_H

/* presets.json: the limits of providers, by name. Each entry is {source, checked, limits}, limits
 * as in a pool. */
extern const char ration_presets_json[];
extern const unsigned long ration_presets_json_size;

/* default.json: the built-in example configuration. */
extern const char ration_default_json[];
extern const unsigned long ration_default_json_size;

#endif
