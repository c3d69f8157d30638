/* The version of rationd; the build says it. */
#ifndef RATIOND_VERSION_H
#define RATIOND_VERSION_H

#ifndef RATION_VERSION
#define RATION_VERSION "0.1.0"
#endif

#endif
