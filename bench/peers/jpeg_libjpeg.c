/* How fast libjpeg-turbo decodes files that are in memory to RGB, one thread and one decompressor for all of them:
 * `jpeg_libjpeg DENOMINATOR ROUNDS FILE...`. Prints images/s of the median round, and what it would be if each file took as
 * long as in its best round. `bench/peers/jpeg.py` compiles and runs it. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jpeglib.h>

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void decode(struct jpeg_decompress_struct *d, unsigned char *file, size_t length, int denominator, unsigned char **pixels,
                   size_t *capacity) {
  JSAMPROW rows[16];
  jpeg_mem_src(d, file, length);
  jpeg_read_header(d, TRUE);
  d->scale_num = 1;
  d->scale_denom = denominator;
  d->out_color_space = d->num_components == 4 ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(d);
  size_t row = (size_t)d->output_width * d->output_components, needed = row * (d->output_height + 16);
  if (needed > *capacity) {
    *pixels = realloc(*pixels, needed);
    *capacity = needed;
  }
  while (d->output_scanline < d->output_height) {
    for (int i = 0; i < 16; i++) rows[i] = *pixels + (d->output_scanline + i) * row;
    jpeg_read_scanlines(d, rows, 16);
  }
  jpeg_finish_decompress(d);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  int denominator = atoi(argv[1]), rounds = atoi(argv[2]), count = argc - 3;
  unsigned char **files = malloc(count * sizeof *files), *pixels = NULL;
  size_t *lengths = malloc(count * sizeof *lengths), capacity = 0;
  double *best = malloc(count * sizeof *best), *all = malloc(rounds * sizeof *all), sum_of_best = 0;
  for (int i = 0; i < count; i++) {
    FILE *file = fopen(argv[3 + i], "rb");
    if (!file) return 1;
    fseek(file, 0, SEEK_END);
    lengths[i] = ftell(file);
    rewind(file);
    files[i] = malloc(lengths[i]);
    if (fread(files[i], 1, lengths[i], file) != lengths[i]) return 1;
    fclose(file);
    best[i] = 1e9;
  }
  struct jpeg_decompress_struct d;
  struct jpeg_error_mgr errors;
  d.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&d);
  /* The first round warms up. */
  for (int round = 0; round <= rounds; round++) {
    double sum = 0;
    for (int i = 0; i < count; i++) {
      double started = seconds();
      decode(&d, files[i], lengths[i], denominator, &pixels, &capacity);
      double taken = seconds() - started;
      sum += taken;
      if (taken < best[i]) best[i] = taken;
    }
    if (round > 0) all[round - 1] = sum;
  }
  for (int i = 0; i < count; i++) sum_of_best += best[i];
  qsort(all, rounds, sizeof *all, by_size);
  printf("%.1f images/s, at best %.1f\n", count / all[rounds / 2], count / sum_of_best);
  return 0;
}
