/* The version of rationd, set by the build. */
#ifndef RATIOND_VERSION_H
#define RATIOND_VERSION_H

#ifndef RATION_VERSION
#define RATION_VERSION "0.1.0"
#endif

#endif
