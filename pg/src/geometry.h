/* The binary form of paths (a byte that tells whether it is closed, then as a polygon) and polygons
 * (a count in 32 bits, then the points); the others are their numbers one after another. */
#ifndef PG_SRC_GEOMETRY_H
#define PG_SRC_GEOMETRY_H

#include "pg/geometry.h"

/* The bytes that the put functions write, and those; they return their end. */
size_t pg_path_size(const pg_path *path);
size_t pg_polygon_size(const pg_polygon *polygon);
char *pg_path_put(const pg_path *path, char *at);
char *pg_polygon_put(const pg_polygon *polygon, char *at);

#endif
