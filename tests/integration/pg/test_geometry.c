/* Geometry against a real server: random shapes out and back, and what they mean there. */
#include "round_trip.h"

#include <math.h>

#define ROUNDS     150
#define POINTS_MAX 40

/* Of any size, or one that people write; never NaN. */
static double random_number(random_state *r)
{
    switch (random_below(r, 7)) {
    case 0:
        return (double)random_between(r, -1000000, 1000000);
    case 1:
        return (double)random_between(r, INT64_MIN, INT64_MAX) / 1e4;
    case 2: /* where a text of few digits may be midway between two numbers */
        return ldexp((double)((INT64_C(1) << 52) + (int64_t)(random_next(r) >> 12)),
                     (int)random_below(r, 12));
    case 3:
        return random_below(r, 2) ? (double)INFINITY : -0.0;
    default: {
        const uint64_t bits = random_next(r);
        double value;
        memcpy(&value, &bits, sizeof value);
        return isnan(value) ? 0.1 : value;
    }
    }
}

static pg_point random_point(random_state *r)
{
    const double x = random_number(r);
    return (pg_point){ x, random_number(r) };
}

static size_t random_points(random_state *r, pg_point *out)
{
    const size_t count = 1 + random_below(r, POINTS_MAX);
    for (size_t i = 0; i < count; i++)
        out[i] = random_point(r);
    return count;
}

static void test_geometry_of_numbers_goes_there_and_back(void **state)
{
    (void)state;
    ROUND_TRIP(pg_point, "point", ((pg_point){ (double)NAN, -(double)INFINITY }), PG_OID_POINT);
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const pg_point a = random_point(&r);
        const pg_point b = random_point(&r);
        ROUND_TRIP(pg_point, "point", a, PG_OID_POINT);
        ROUND_TRIP(pg_lseg, "lseg", ((pg_lseg){ a, b }), PG_OID_LSEG);
        const pg_line line = { 1 + fabs(a.x), a.y, b.x };
        ROUND_TRIP(pg_line, "line", line, PG_OID_LINE);
        const pg_box box = { { fmax(a.x, b.x), fmax(a.y, b.y) },
                             { fmin(a.x, b.x), fmin(a.y, b.y) } };
        ROUND_TRIP(pg_box, "box", box, PG_OID_BOX);
        ROUND_TRIP(pg_circle, "circle", ((pg_circle){ a, fabs(b.x) }), PG_OID_CIRCLE);
    }
}

static void test_geometry_of_points_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        pg_point points[POINTS_MAX];
        const size_t count = random_points(&r, points);
        const pg_path path = { points, count, random_below(&r, 2) };
        ROUND_TRIP(pg_path, "path", path, PG_OID_PATH);
        ROUND_TRIP_BY(pg_polygon, "polygon", "poly_send", ((pg_polygon){ points, count }),
                      PG_OID_POLYGON);
    }
}

static void test_geometry_means_the_same_to_the_server(void **state)
{
    (void)state;
    pg_rows rows;
    bool truth;
    double number;
    pg_box box;
    const pg_point corners[] = { { 0, 0 }, { 4, 0 }, { 4, 3 } };
    const pg_circle circle = { { 1, 1 }, 2 };
    assert_ok(pg_query(db, &rows,
                       "select $1 <@ $2, area($3), isopen($4), $5, length($6), npoints($7)",
                       ((pg_point){ 1, 2.5 }), circle, ((pg_box){ { 0, 0 }, { 3, 4 } }),
                       ((pg_path){ corners, 3, false }), ((pg_box){ { -1, 5 }, { 2, 3 } }),
                       ((pg_lseg){ { 0, 0 }, { 3, 4 } }), ((pg_polygon){ corners, 3 })));
    assert_ok(pg_get(&rows, 0, 0, &truth));
    assert_true(truth);
    assert_ok(pg_get(&rows, 0, 1, &number));
    assert_true(number == 12);
    assert_ok(pg_get(&rows, 0, 2, &truth));
    assert_true(truth);
    assert_ok(pg_get(&rows, 0, 3, &box)); /* with its corners in order */
    assert_true(box.high.x == 2 && box.high.y == 5 && box.low.x == -1 && box.low.y == 3);
    assert_ok(pg_get(&rows, 0, 4, &number));
    assert_true(number == 5);
    int32_t count;
    assert_ok(pg_get(&rows, 0, 5, &count));
    assert_int_equal(count, 3);
}

static void test_geometry_that_is_none_is_refused_by_the_server(void **state)
{
    (void)state;
    pg_rows rows;
    const pg_point point = { 0, 0 };
    assert_fails(PG_DATA_EXCEPTION,
                 pg_query(db, &rows, "select $1", ((pg_circle){ { 0, 0 }, -1 })));
    assert_fails(PG_DATA_EXCEPTION, pg_query(db, &rows, "select $1", ((pg_line){ 0, 0, 1 })));
    assert_fails(PG_DATA_EXCEPTION,
                 pg_query(db, &rows, "select $1", ((pg_path){ &point, 0, true })));
    assert_fails(PG_DATA_EXCEPTION, pg_query(db, &rows, "select $1", ((pg_polygon){ &point, 0 })));
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        cmocka_unit_test(test_geometry_of_numbers_goes_there_and_back),
        cmocka_unit_test(test_geometry_of_points_goes_there_and_back),
        cmocka_unit_test(test_geometry_means_the_same_to_the_server),
        cmocka_unit_test(test_geometry_that_is_none_is_refused_by_the_server),
    };
    return cmocka_run_group_tests(group, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
