"""Turns a sheet of the course into data and start values for the models beside it.

usage: read_sheet.py TABLES dotprod|bias FOLDER
TABLES holds the sheet's tables as CSV. Writes ratings.csv (the 206 cells with a rating), cells.csv (all 225, `rated` is 0 in the empty ones) and
start.safetensors (the numbers that the sheet begins with) to FOLDER.
"""
import csv
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from safetensors import write_safetensors

tables, sheet, folder = sys.argv[1:]


def table(name):
    return [[float(cell or 0) for cell in row] for row in csv.reader(open(f"{tables}/{sheet}_{name}.csv"))]


def transposed(rows):
    return [list(column) for column in zip(*rows)]


parameters = [table("user_emb_15x5"), transposed(table("movie_emb_5x15"))]
if sheet == "bias":
    parameters = [table("user_bias_15x1"), transposed(table("movie_bias_1x15"))] + parameters
os.makedirs(folder, exist_ok=True)
write_safetensors(f"{folder}/start.safetensors",
                  {f"Matrix/embedding_{number}/W": ([len(rows), len(rows[0])], [value for row in rows for value in row])
                   for number, rows in enumerate(parameters, 1)})
with open(f"{folder}/ratings.csv", "w") as ratings, open(f"{folder}/cells.csv", "w") as cells:
    for file in (ratings, cells):
        file.write("user,movie,rating,rated\n")
    for user, row in enumerate(csv.reader(open(f"{tables}/{sheet}_ratings_15x15.csv"))):
        for movie, cell in enumerate(row):
            cells.write(f"{user},{movie},{cell or 0},{int(cell != '')}\n")
            if cell:
                ratings.write(f"{user},{movie},{cell},1\n")
