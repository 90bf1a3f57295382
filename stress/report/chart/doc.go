// Package chart draws figures as HTML with inline SVG, without a library, a
// script or anything from a network.
//
// There are four kinds: [Plot] for lines over two axes, [Deviations] for how
// parts differ from their fair share, [Events] for what happened when, and
// [Strip] for a few values of a figure that was measured again and again. Each
// makes a [Figure], which is the drawing, its legend, and the table of what is
// drawn: nothing is told by a picture alone. Colours are told apart by people
// who see few of them (Okabe and Ito, "Color Universal Design", 2008), and no
// meaning rests on a colour: lines differ in their dashes too, marks in their
// shape.
//
// The drawings take their colours from CSS variables and classes of the page:
// see page.css in package report.
package chart
