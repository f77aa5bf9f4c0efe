/* Writes a known number of pages of its own data, and of the stack of whoever calls it. */

#define PAGE 4096
#define PAGES 400

static volatile char data[PAGES * PAGE] __attribute__((aligned(PAGE))) = {1};
static volatile char bss[PAGES * PAGE] __attribute__((aligned(PAGE)));

void *data_pages(void) { return (void *)data; }
void *bss_pages(void) { return (void *)bss; }

void write_data(void)
{
    for (int page = 0; page < PAGES; page++)
        data[page * PAGE + 8] += 1;
}

void write_bss(void)
{
    for (int page = 0; page < PAGES; page++)
        bss[page * PAGE + 8] += 1;
}

/* The lowest address written. */
void *write_stack(void)
{
    volatile char room[PAGES * PAGE];
    volatile char *volatile lowest = room;
    for (int page = PAGES - 1; page >= 0; page--)
        room[page * PAGE] = 1;
    return (void *)lowest;
}
