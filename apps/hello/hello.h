/* The app, for main.c and for its tests. */
#ifndef APPS_HELLO_HELLO_H
#define APPS_HELLO_HELLO_H

#include <brio/http.h>

extern const http_app hello_app;

#endif
