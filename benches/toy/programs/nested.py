def triangle(n):
    sum = 0
    for i in range(n):
        for j in range(i, n):
            sum = sum + (j - i) * j % 7
    return sum


def run():
    return triangle(1200)
