/* notes' program. */
#include "notes.h"

int main(int argc, char **argv)
{
    return http_main(argc, argv, &notes_app);
}
