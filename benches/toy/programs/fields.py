class Point:
    __slots__ = ("x", "y", "by")

    def __init__(self):
        self.x = 0
        self.y = 0
        self.by = 2


def walk(point, n):
    i = 0
    while i < n:
        point.x = point.x + point.by
        point.y = point.y + point.x % 3
        i = i + 1
    return point.x + point.y


def run():
    return walk(Point(), 300000)
