/* The app, for main.c and for its tests. */
#ifndef APPS_NOTES_NOTES_H
#define APPS_NOTES_NOTES_H

#include <brio/http.h>

extern const http_app notes_app;

#endif
