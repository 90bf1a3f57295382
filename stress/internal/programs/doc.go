// Package programs generates the programs with which kits explore. It makes programs of the
// operations of an interface and of the events that a kit can cause around it, runs each under a
// controlled schedule in virtual time, and lets the kit's model judge it.
//
// A kit declares a [Vocabulary]: its operations and events, each an [Op], and a [World], which is
// the subject with everything that the kit controls around it and the model of what it must do. A
// program is a sequence of stages. The operations of a stage run concurrently, under a schedule of
// their own. Then the world waits until nothing can go on, and judges. A lost wake-up is therefore
// seen as a caller that waits although nothing else happens, and the order of operations in
// different stages is known.
//
// Which part of the vocabulary a program uses is drawn too. This is swarm testing (Groce et al.,
// ISSTA 2012): a program of all operations reaches few states of each.
//
// If the subject runs in processes, which no schedule controls, the same programs run in real time
// ([Vocabulary.Try]). The programs follow from the seed, but what happens does not. A world must
// then judge what eventually happens, however long it takes, and must not depend on timing.
package programs
