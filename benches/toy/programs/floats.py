def mandelbrot(size, limit):
    inside = 0
    for row in range(size):
        for column in range(size):
            x0 = 3.0 * column / size - 2.0
            y0 = 2.0 * row / size - 1.0
            x = 0.0
            y = 0.0
            rounds = 0
            while rounds < limit and x * x + y * y <= 4.0:
                next = x * x - y * y + x0
                y = 2.0 * x * y + y0
                x = next
                rounds = rounds + 1
            if rounds == limit:
                inside = inside + 1
    return inside


def run():
    return mandelbrot(100, 100)
