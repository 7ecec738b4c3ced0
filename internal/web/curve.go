package web

import (
	"math"
	"strconv"
	"strings"
)

// curve is a small line chart of the last hour as SVG path data.
type curve struct {
	Width, Height int
	Line, Area    string
	Max           float64 // top of the chart
	Known         bool    // there is something to draw
	Label         string  // for those who cannot see it
}

// draw turns points (NaN: unknown) into paths. The bottom is 0 and the top the highest point, or floor if that is more.
func draw(points []float64, width, height int, floor float64) curve {
	c := curve{Width: width, Height: height, Max: floor}
	for _, v := range points {
		if !math.IsNaN(v) {
			c.Max, c.Known = max(c.Max, v), true
		}
	}
	if !c.Known || c.Max <= 0 {
		c.Max = max(c.Max, 1)
	}
	const pad = 1.5 // half a stroke, so that the top is not cut off
	x := func(i int) string { return coord(float64(i) * float64(width) / float64(len(points)-1)) }
	y := func(v float64) string {
		return coord(float64(height) - pad - v/c.Max*(float64(height)-2*pad))
	}
	var line, area strings.Builder
	for i := 0; i < len(points); i++ {
		if math.IsNaN(points[i]) {
			continue
		}
		from := i
		start := line.Len()
		for ; i < len(points) && !math.IsNaN(points[i]); i++ {
			verb := "L"
			if i == from {
				verb = "M"
			}
			line.WriteString(verb + x(i) + " " + y(points[i]))
		}
		if i-from == 1 { // a lone point is drawn as a dot by the round line end
			line.WriteString("h0.01")
		}
		area.WriteString(line.String()[start:] + "L" + x(i-1) + " " + strconv.Itoa(height) + "L" + x(from) + " " + strconv.Itoa(height) + "Z")
	}
	c.Line, c.Area = line.String(), area.String()
	return c
}

func coord(f float64) string { return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) }
