/* PostgreSQL's geometric types of the plane.
 *
 *   pg_point home;
 *   TRY(pg_get(&rows, 0, 0, &home)); // home.x, home.y
 *   TRY(pg_query(db, &rows, "select name from places where spot <@ $1",
 *                ((pg_circle){ home, 10.0 })));
 *
 * Every format function gives what the server writes; the text lives in `a`. Every parse function
 * reads the whole of such a text, returns false on anything else (those with an arena also when
 * there is no room in it), and then leaves `*out` alone. As text a number is exact unless the
 * session has set extra_float_digits to 0 or less; the server's default since 12 is 1. */
#ifndef PG_GEOMETRY_H
#define PG_GEOMETRY_H

#include "core/arena.h"
#include "core/scalar.h"

typedef struct pg_point {
    double x;
    double y;
} pg_point;

/* The points of a*x + b*y + c = 0; not both a and b are zero. */
typedef struct pg_line {
    double a;
    double b;
    double c;
} pg_line;

/* A line's segment. */
typedef struct pg_lseg {
    pg_point from;
    pg_point to;
} pg_lseg;

/* As parameter with any two opposite corners; the server orders them. */
typedef struct pg_box {
    pg_point high; /* right and above */
    pg_point low;
} pg_box;

typedef struct pg_circle {
    pg_point center;
    double radius; /* not negative */
} pg_circle;

/* Points one after another, at least one. A view as parameter; what is read lives in the arena. */
typedef struct pg_path {
    const pg_point *points;
    size_t count;
    bool closed; /* the last is joined to the first */
} pg_path;

typedef struct pg_polygon {
    const pg_point *points; /* its corners, at least one */
    size_t count;
} pg_polygon;

SCALAR_OPTIONAL(pg_point, pg_point);
SCALAR_OPTIONAL(pg_line, pg_line);
SCALAR_OPTIONAL(pg_lseg, pg_lseg);
SCALAR_OPTIONAL(pg_box, pg_box);
SCALAR_OPTIONAL(pg_circle, pg_circle);
SCALAR_OPTIONAL(pg_path, pg_path);
SCALAR_OPTIONAL(pg_polygon, pg_polygon);
SCALAR_LIST(pg_point, pg_point);
SCALAR_LIST(pg_line, pg_line);
SCALAR_LIST(pg_lseg, pg_lseg);
SCALAR_LIST(pg_box, pg_box);
SCALAR_LIST(pg_circle, pg_circle);
SCALAR_LIST(pg_path, pg_path);
SCALAR_LIST(pg_polygon, pg_polygon);

/* "(1.5,-2)". */
str pg_point_format(arena *a, const pg_point *point);
bool pg_point_parse(str text, pg_point *out);
/* "{1,-1,0}". */
str pg_line_format(arena *a, const pg_line *line);
bool pg_line_parse(str text, pg_line *out);
/* "[(0,0),(1,2)]". */
str pg_lseg_format(arena *a, const pg_lseg *lseg);
bool pg_lseg_parse(str text, pg_lseg *out);
/* "(3,4),(1,2)". */
str pg_box_format(arena *a, const pg_box *box);
bool pg_box_parse(str text, pg_box *out);
/* "<(0,0),2.5>". */
str pg_circle_format(arena *a, const pg_circle *circle);
bool pg_circle_parse(str text, pg_circle *out);
/* "((0,0),(1,0),(1,1))", and with [ ] when it is open. */
str pg_path_format(arena *a, const pg_path *path);
bool pg_path_parse(arena *a, str text, pg_path *out);
/* "((0,0),(1,0),(1,1))". */
str pg_polygon_format(arena *a, const pg_polygon *polygon);
bool pg_polygon_parse(arena *a, str text, pg_polygon *out);

#endif
