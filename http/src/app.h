/* What a program does with its app before it serves: for http_main, and for tests. */
#ifndef HTTP_SRC_APP_H
#define HTTP_SRC_APP_H

#include "conn.h"

#define HTTP_TABLES_MAX (2 + HTTP_APP_METRICS_MAX) /* of metrics */

/* Checks all variables of the environment that the app knows, telling all that is wrong on standard
 * error, and reads the engine's. What `out` holds of them is the environment's.
 *   fails  CONFIG_INVALID */
error http_app_read_settings(const http_app *app, http_settings *out);
/* The app's routes and layers and the engine's own, checked; all lives in `a`.
 *   fails  HTTP_ROUTES_INVALID, HTTP_LAYER_INVALID, CONFIG_INVALID */
error http_app_build_router(const http_app *app, const http_settings *settings, arena *a,
                            router **out);
/* Its tables of metrics, and the engine's; returns their number. */
uint32_t http_app_metrics(const http_app *app, const router *r,
                          const metrics_table *out[HTTP_TABLES_MAX]);

#endif
